/**
 * The lab's iSCSI target: LIO in the machine `target`, on block backstores that can grow. Each LUN is a
 * part of one sparse disk of the lab, which the machine gets as a whole, so that a LUN has no filesystem
 * below it that a power cut of the target could harm.
 */
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from '../lib/index.ts';
import { place } from './place.ts';

/** The authority and the date of all names of the lab. */
const naming = 'iqn.2026-11.lab.gfs2-iscsi-sr';

/** The names of the two targets: one for everybody, one with CHAP in both directions. */
export const targets = { pool: `${naming}:pool`, chap: `${naming}:chap` } as const;

export type TargetName = keyof typeof targets;

/** Where they listen. `pool` has two portals in one group, and a second group on an address of its own. */
export const portals = {
  pool: [
    { address: '10.90.2.10', port: 3260, group: 1 },
    { address: '10.90.2.110', port: 3260, group: 1 },
    { address: '10.90.2.210', port: 3260, group: 2 },
  ],
  chap: [{ address: '10.90.2.10', port: 3260, group: 1 }],
} as const;

/** The initiator name of a host. */
export function initiatorName(host: string): string {
  return `${naming}:${host}`;
}

/** A LUN, as the target shall have it. */
export interface Lun {
  readonly target: TargetName;
  readonly number: number;
  readonly mebibytes: number;
  /** 32 hexadecimal digits. Its SCSI id comes from it: see {@link scsiId}. */
  readonly serial: string;
  readonly access: 'rw' | 'ro';
  /** Whether initiators see it. Its content stays when they do not. */
  readonly mapped: boolean;
  /** Which part of the disk it is. */
  readonly slot: number;
}

/** What names a LUN. */
export type LunName = Pick<Lun, 'target' | 'number'>;

/** The secrets of the target with CHAP. */
export interface ChapSecrets {
  readonly user: string;
  readonly password: string;
  readonly mutualUser: string;
  readonly mutualPassword: string;
}

/** The LUNs of a new lab. Number 0 is there for `chap` only: many a tool looks at nothing else. */
const firstLuns: readonly LunName[] = [
  ...[1, 2, 20, 300].map((number) => ({ target: 'pool', number }) as const),
  ...[0, 1].map((number) => ({ target: 'chap', number }) as const),
];

const firstMebibytes = 4096;
const diskBytes = 2 ** 40;
const diskTarget = 'vdb';
const diskSerial = 'lab-luns';
const folder = '/etc/lab-target';
const program = '/usr/local/sbin/lab-target';

/** VPD page 83 of LIO: NAA 6, LIO's company id, and the first digits of the serial; as udev's scsi_id writes it. */
export function scsiId(lun: Pick<Lun, 'serial'>): string {
  return `36001405${lun.serial.slice(0, 25)}`;
}

/** The target of a lab that is up. */
export class IscsiTarget {
  readonly #machine: Machine;
  #lastChange: Promise<void> = Promise.resolve();

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Makes it from nothing, or again; content and changes of LUNs stay. */
  async setUp(hosts: readonly string[]): Promise<void> {
    if (!existsSync(place.luns)) {
      const file = openSync(place.luns, 'wx', 0o600);
      ftruncateSync(file, diskBytes);
      closeSync(file);
      // Writeback: a power cut of the target is one of QEMU, and what QEMU has written stays.
      await this.#machine.attachDisk({
        path: place.luns,
        target: diskTarget,
        serial: diskSerial,
        cache: 'writeback',
      });
    }
    const sources = join(import.meta.dirname, 'target');
    const secrets = chapSecrets();
    const known = await this.luns();
    // All at once: each command costs a machine that starts up a second.
    await this.#apply(
      [
        { path: program, mode: '0755', content: readFileSync(join(sources, 'lab-target'), 'utf8') },
        {
          path: '/etc/systemd/system/lab-target.service',
          content: readFileSync(join(sources, 'lab-target.service'), 'utf8'),
        },
        {
          path: `${folder}/chap-chap`,
          content: [
            `userid=${secrets.user}`,
            `password=${secrets.password}`,
            `userid_mutual=${secrets.mutualUser}`,
            `password_mutual=${secrets.mutualPassword}`,
            '',
          ].join('\n'),
        },
        {
          path: `${folder}/fixed`,
          content: [
            ...portals.pool.slice(1).map(({ address }) => `address ${address}/24`),
            ...Object.entries(targets).map(([name, iqn]) => `target ${name} ${iqn}`),
            ...Object.entries(portals).flatMap(([name, list]) =>
              list.map(({ address, port, group }) => `portal ${name} ${group} ${address}:${port}`),
            ),
            ...hosts.map((host) => `initiator ${initiatorName(host)}`),
            '',
          ].join('\n'),
        },
        lunsFile(known.length > 0 ? known : newLuns()),
      ],
      'systemctl enable --quiet lab-target.service',
    );
  }

  /** Its LUNs. */
  async luns(): Promise<readonly Lun[]> {
    const { stdout } = await this.#machine.exec(['cat', `${folder}/luns`], { expect: [0, 1] });
    return stdout.split('\n').flatMap(parseLun);
  }

  /** One of its LUNs. */
  async lun(name: LunName): Promise<Lun> {
    const found = (await this.luns()).find((lun) => isSame(lun, name));
    if (found === undefined) throw new Error(`The target ${name.target} has no LUN ${name.number}.`);
    return found;
  }

  /** Grows or shrinks it under those who use it. They are told nothing, as by many an array. */
  async resize(name: LunName, mebibytes: number): Promise<void> {
    await this.#change(name, { mebibytes });
  }

  /** Takes it away from all initiators; what they do with it fails from now on. */
  async unmap(name: LunName): Promise<void> {
    await this.#change(name, { mapped: false });
  }

  /** Gives it to all initiators; also under a number that another LUN had, when that one is unmapped. */
  async map(name: LunName): Promise<void> {
    await this.#change(name, { mapped: true });
  }

  /** Write-protects it, or ends that. Sessions lose it for a moment: for LUNs that nobody uses. */
  async setAccess(name: LunName, access: Lun['access']): Promise<void> {
    await this.#change(name, { access });
  }

  /** Gives it another serial number, so another SCSI id. Sessions lose it for a moment. */
  async setSerial(name: LunName, serial: string): Promise<void> {
    await this.#change(name, { serial });
  }

  /** Makes a LUN's content that of another one, as an array's clone; the SCSI ids stay as they are. */
  async copy(from: LunName, to: LunName): Promise<void> {
    const { mebibytes } = await this.lun(from);
    await this.resize(to, mebibytes);
    await this.erase(to);
    await this.runOn(
      to,
      ['dd', `if=${device(from)}`, 'bs=4M', 'iflag=direct', 'conv=sparse,fsync', 'status=none'],
      'of=',
    );
  }

  /** Makes it read as zeros. */
  async erase(name: LunName): Promise<void> {
    await this.runOn(name, ['blkdiscard']);
  }

  /**
   * Runs a command on the target with the path of a LUN's block device, and with `prefix` before it, as its last
   * word: mkfs, dd, blkid. Nobody keeps it from what initiators use.
   */
  async runOn(name: LunName, command: readonly string[], prefix = ''): Promise<string> {
    // LIO has the LUN's own device exclusively, which many tools ask for.
    const script = [
      'set -eu; side=side-$$; dmsetup create "$side" --table "$(dmsetup table "$1")"',
      'trap \'udevadm settle; dmsetup remove --retry "$side"\' EXIT',
      'last=$2/dev/mapper/$side; shift 2; "$@" "$last"',
    ].join('\n');
    const words = ['sh', '-c', script, 'sh', `${name.target}-${name.number}`, prefix, ...command];
    return (await this.#machine.exec(words, { timeout: 300_000 })).stdout;
  }

  /** What LUNs have had to write since the target's start, in the order of `names`. */
  async changes(names: readonly LunName[]): Promise<readonly LunChanges[]> {
    const script = 'for device; do cat "/sys/block/$(basename "$(readlink -f "$device")")/stat"; done';
    const { stdout } = await this.#machine.exec(['sh', '-c', script, 'sh', ...names.map(device)]);
    return stdout
      .trim()
      .split('\n')
      .map((line) => {
        const fields = line.trim().split(/\s+/).map(Number);
        return { writes: fields[4] ?? 0, sectors: fields[6] ?? 0, discards: fields[11] ?? 0 };
      });
  }

  /** Its sessions with all initiators, by LIO's own count, and how sessions began and ended so far. */
  async sessions(target: TargetName): Promise<SessionCounts> {
    const statistics = `/sys/kernel/config/target/iscsi/${targets[target]}/fabric_statistics`;
    const files = [
      'iscsi_instance/sessions',
      'iscsi_login_stats/accepts',
      'iscsi_login_stats/authenticate_fails',
      'iscsi_logout_stats/normal_logouts',
      'iscsi_logout_stats/abnormal_logouts',
    ].map((name) => `${statistics}/${name}`);
    const values = (await this.#machine.exec(['cat', ...files])).stdout.trim().split('\n').map(Number);
    const [open = 0, logins = 0, refused = 0, logouts = 0, lost = 0] = values;
    return { open, logins, refused, logouts, lost };
  }

  /** Whether it has any session with a host. */
  async hasSessionWith(target: TargetName, host: string): Promise<boolean> {
    // LIO shows one session for each group, whatever their number.
    const groups = `/sys/kernel/config/target/iscsi/${targets[target]}/tpgt_*/acls/${initiatorName(host)}/info`;
    const { stdout } = await this.#machine.exec(['sh', '-c', `cat ${groups}`]);
    return stdout.split('\n').some((line) => line.startsWith('InitiatorName:'));
  }

  /** One at a time: all LUNs are in one file. */
  #change(name: LunName, change: Partial<Lun>): Promise<void> {
    const changed = this.#lastChange.then(async () => {
      await this.lun(name);
      const luns = await this.luns();
      await this.#apply([lunsFile(luns.map((lun) => (isSame(lun, name) ? { ...lun, ...change } : lun)))]);
    });
    this.#lastChange = changed.catch(() => {});
    return changed;
  }

  /** Writes files, has LIO follow them, and runs another command. */
  async #apply(files: readonly TargetFile[], command = 'true'): Promise<void> {
    const script = [
      'set -e; umask 077',
      'put() { mkdir -p "$(dirname "$1")"; cat >"$1.new"; chmod "$2" "$1.new"; mv "$1.new" "$1"; }',
      ...files.map(
        ({ path, mode, content }) => `put ${path} ${mode ?? '0600'} <<'END OF FILE'\n${content}END OF FILE`,
      ),
      program,
      command,
      '',
    ].join('\n');
    // By its standard input: some of it is secret.
    await this.#machine.exec(['bash', '-s'], { input: script, timeout: 120_000 });
  }
}

/** A file on the target; its content ends with a line's end. */
interface TargetFile {
  readonly path: string;
  readonly mode?: string;
  readonly content: string;
}

/** What one LUN had to write. */
export interface LunChanges {
  readonly writes: number;
  /** Of 512 bytes. */
  readonly sectors: number;
  readonly discards: number;
}

/** Counts of one target since its start. */
export interface SessionCounts {
  /** Sessions there are now. */
  readonly open: number;
  readonly logins: number;
  /** Logins refused for their CHAP answer. */
  readonly refused: number;
  readonly logouts: number;
  /** Sessions that ended without a logout. */
  readonly lost: number;
}

/** The CHAP secrets of this lab, made when they are first asked for. */
export function chapSecrets(): ChapSecrets {
  if (!existsSync(place.chap)) {
    const secret = (): string => randomBytes(8).toString('hex');
    const fresh: ChapSecrets = {
      user: 'lab-host',
      password: secret(),
      mutualUser: 'lab-target',
      mutualPassword: secret(),
    };
    writeFileSync(place.chap, JSON.stringify(fresh), { mode: 0o600 });
  }
  return JSON.parse(readFileSync(place.chap, 'utf8')) as ChapSecrets;
}

function device({ target, number }: LunName): string {
  return `/dev/mapper/${target}-${number}`;
}

function isSame(one: LunName, other: LunName): boolean {
  return one.target === other.target && one.number === other.number;
}

/** The same in every lab: it is easier to follow an id through logs that one knows. */
function serialOf({ target, number }: LunName): string {
  return createHash('sha256').update(`${target}-${number}`).digest('hex').slice(0, 32);
}

function lunsFile(luns: readonly Lun[]): TargetFile {
  return { path: `${folder}/luns`, content: luns.map(formatLun).join('') };
}

function newLuns(): readonly Lun[] {
  return firstLuns.map((name, slot) => ({
    ...name,
    mebibytes: firstMebibytes,
    serial: serialOf(name),
    access: 'rw',
    mapped: true,
    slot,
  }));
}

function formatLun({ target, number, slot, mebibytes, serial, access, mapped }: Lun): string {
  return `lun ${target} ${number} ${slot} ${mebibytes} ${serial} ${access} ${mapped ? 'mapped' : 'unmapped'}\n`;
}

function parseLun(line: string): readonly Lun[] {
  const [word, target, number, slot, mebibytes, serial, access, mapped] = line.split(' ');
  if (word !== 'lun' || serial === undefined) return [];
  return [
    {
      target: target as TargetName,
      number: Number(number),
      slot: Number(slot),
      mebibytes: Number(mebibytes),
      serial,
      access: access as Lun['access'],
      mapped: mapped === 'mapped',
    },
  ];
}
