/**
 * open-iscsi's records on this host: one for each portal of a target (and each interface of this host).
 *
 * Records are made and removed by iscsiadm, which keeps an index of them, but written here: iscsiadm takes a
 * secret only as an argument, which every process of this host can see.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { PluginError } from '../../../src/smapi/errors.ts';
import { run } from './host-command.ts';
import type { KernelTarget, TargetPortal } from './model.ts';
import { editRecord, fieldsFor, isOurs, ownFields } from './record-text.ts';
import { isSamePortal, portalName } from './sessions.ts';

/** Where distributions let iscsiadm keep its records. Which one is compiled into it. */
const roots: readonly string[] = ['/etc/iscsi', '/var/lib/iscsi'];

/** Milliseconds for iscsiadm to do something that needs no network. */
const timeout = 20_000;

/** A record of a portal of a target. */
export interface NodeRecord {
  readonly file: string;
  readonly portal: TargetPortal;
  /** The interface of this host, `default` for any. */
  readonly iface: string;
  readonly ours: boolean;
}

/** The records of a target; none where it has none. */
export function listRecords(iqn: string): readonly NodeRecord[] {
  return roots.flatMap((root) => {
    const names = list(`${root}/nodes`).filter((name) => name.toLowerCase() === iqn.toLowerCase());
    return names.flatMap((name) => recordsBelow(`${root}/nodes/${name}`));
  });
}

/** The record that a login to a portal would use. */
export function findRecord(iqn: string, portal: TargetPortal): NodeRecord | undefined {
  return listRecords(iqn).find((record) => record.iface === 'default' && isSamePortal(record.portal, portal));
}

/**
 * Makes sure that there is a record of a portal of a target, and that it says what the target needs. One
 * that someone else made keeps whatever we have no need of, such as whether this host logs in while it
 * starts.
 *
 * @throws PluginError `RecordFailed`, CommandError.
 */
export async function putRecord(target: KernelTarget, portal: TargetPortal): Promise<NodeRecord> {
  const found = findRecord(target.iqn, portal);
  const outdated =
    found?.ours === true && portal.tpgt !== undefined && found.portal.tpgt !== portal.tpgt
      ? found
      : undefined;
  if (outdated !== undefined) await deleteRecord(target.iqn, outdated);
  const kept = outdated === undefined ? found : undefined;
  const record = kept ?? (await makeRecord(target.iqn, portal));
  const ours = kept === undefined || kept.ours;
  rewrite(record.file, ours, { ...fieldsFor(target), ...(ours ? ownFields : {}) });
  return { ...record, ours };
}

/** Removes a record. */
export async function deleteRecord(iqn: string, record: NodeRecord): Promise<void> {
  const args = [...nodeArguments(iqn, record.portal), '-I', record.iface, '-o', 'delete'];
  // 21: there is none.
  await run('iscsiadm', args, { timeout, expect: [0, 21] });
}

/** How iscsiadm names a portal of a target. */
export function nodeArguments(iqn: string, { address, port, tpgt }: TargetPortal): readonly string[] {
  const group = tpgt === undefined ? '' : `,${tpgt}`;
  return ['-m', 'node', '-T', iqn, '-p', `${portalName({ address, port })}${group}`];
}

/** Reads a record's name below its target's folder: `ADDRESS,PORT` or `ADDRESS,PORT,GROUP`. */
export function parseRecordName(name: string): TargetPortal | undefined {
  const [, address, port, group] = /^(.+?),(\d+)(?:,(-?\d+))?$/.exec(name) ?? [];
  if (address === undefined) return undefined;
  const tpgt = group === undefined || group === '-1' ? {} : { tpgt: Number(group) };
  return { address, port: Number(port), ...tpgt };
}

async function makeRecord(iqn: string, portal: TargetPortal): Promise<NodeRecord> {
  await run('iscsiadm', [...nodeArguments(iqn, portal), '-o', 'new'], { timeout });
  const made = findRecord(iqn, portal);
  if (made !== undefined) return made;
  throw new PluginError(
    'RecordFailed',
    `open-iscsi keeps its records neither in ${roots.join(' nor in ')}, where this plugin looks for the one of portal ${portalName(portal)}; use a build of open-iscsi that does.`,
  );
}

function recordsBelow(folder: string): readonly NodeRecord[] {
  return list(folder).flatMap((name) => {
    const portal = parseRecordName(name);
    if (portal === undefined) return [];
    const path = `${folder}/${name}`;
    const files = isFolder(path)
      ? list(path).map((iface) => [iface, `${path}/${iface}`])
      : [['default', path]];
    return files.flatMap(([iface = '', file = '']) => {
      const text = read(file);
      return text === undefined ? [] : [{ file, portal, iface, ours: isOurs(text) }];
    });
  });
}

/** Replaces a record as a whole, readable for root only. */
function rewrite(file: string, ours: boolean, fields: Parameters<typeof editRecord>[1]): void {
  // Beside the records and not among them, for iscsiadm takes every file there as a record.
  const root = roots.find((each) => file.startsWith(`${each}/`)) ?? '/etc/iscsi';
  const temporary = `${root}/.gfs2-iscsi-sr.tmp`;
  try {
    rmSync(temporary, { force: true });
    const fd = openSync(temporary, 'wx', 0o600);
    try {
      writeFileSync(fd, editRecord(readFileSync(file, 'utf8'), fields, ours));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    chmodSync(temporary, 0o600);
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new PluginError(
      'RecordFailed',
      `open-iscsi's record ${file} cannot be written (${(error as NodeJS.ErrnoException).code ?? error}); make room there, or make it writable.`,
      { cause: error },
    );
  }
}

function isFolder(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
