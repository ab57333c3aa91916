/**
 * Puts records into open-iscsi's database, whose place is compiled into iscsiadm: so this runs in a mount
 * namespace of its own. Reads a list of targets with one portal each from its standard input; answers, for
 * each, what iscsiadm reads from its record.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { deleteRecord, findRecord, nodeArguments, putRecord } from '../../volume/iscsi/kernel/database.ts';
import type { KernelTarget } from '../../volume/iscsi/kernel/model.ts';

/** What became of one record. */
export interface RecordReport {
  /** Fields as iscsiadm reads them. */
  readonly fields: Readonly<Record<string, string>>;
  readonly mode: number;
  readonly ours: boolean;
  /** Whether it is gone after it was removed. */
  readonly removed: boolean;
}

/** Targets, and what an admin had done to a record before; without it there was none. */
export interface RecordRequest {
  readonly target: KernelTarget;
  /** Settings that an admin gave a record that was there. */
  readonly before?: Readonly<Record<string, string>>;
}

const requests = JSON.parse(readFileSync(0, 'utf8')) as readonly RecordRequest[];
const reports: RecordReport[] = [];
for (const { target, before } of requests) {
  const [portal] = target.portals;
  if (portal === undefined) throw new Error('a target without portals');
  if (before !== undefined) {
    iscsiadm([...nodeArguments(target.iqn, portal), '-o', 'new']);
    for (const [name, value] of Object.entries(before)) {
      iscsiadm([...nodeArguments(target.iqn, portal), '-o', 'update', '-n', name, '-v', value]);
    }
  }
  const record = await putRecord(target, portal);
  const shown = iscsiadm([...nodeArguments(target.iqn, record.portal), '-o', 'show', '-S']);
  const { mode } = statSync(record.file);
  if (record.ours) await deleteRecord(target.iqn, record);
  reports.push({
    fields: Object.fromEntries(
      shown.split('\n').flatMap((line) => {
        const [, name, value] = /^(\S+) = (.*)$/.exec(line) ?? [];
        return name === undefined || value === undefined ? [] : [[name, value]];
      }),
    ),
    mode: mode & 0o777,
    ours: record.ours,
    removed: findRecord(target.iqn, portal) === undefined,
  });
}
process.stdout.write(JSON.stringify(reports));

function iscsiadm(args: readonly string[]): string {
  return execFileSync('iscsiadm', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}
