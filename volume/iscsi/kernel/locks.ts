/** Locks that keep calls on this host from working against each other. They end with their process. */
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { hostPaths } from '../../../src/host-paths.ts';
import { lock } from '../../../src/locks/flock.ts';

/** Milliseconds for which a login of another call is waited for: longer than one takes. */
const targetPatience = 120_000;
const recordPatience = 20_000;

/** Where this boot's state of the initiator is. */
export function stateFolder(): string {
  return `${hostPaths.run}/iscsi`;
}

/** Runs `body` while no other call logs in to or out of any of some targets. */
export async function withTargets<Result>(
  iqns: readonly string[],
  body: () => Promise<Result>,
): Promise<Result> {
  // In one order, so that two calls never wait for each other.
  const names = [...new Set(iqns.map((iqn) => iqn.toLowerCase()))].toSorted();
  const fds: number[] = [];
  try {
    for (const name of names) {
      const file = `target-${createHash('sha256').update(name).digest('hex').slice(0, 32)}`;
      fds.push(await take(file, targetPatience, `the sessions with ${name}`));
    }
    return await body();
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

/** Runs `body` while no other call changes open-iscsi's records or configuration. */
export async function withRecords<Result>(body: () => Promise<Result>): Promise<Result> {
  const fd = await take('records', recordPatience, "open-iscsi's records");
  try {
    return await body();
  } finally {
    closeSync(fd);
  }
}

async function take(name: string, patience: number, what: string): Promise<number> {
  const folder = `${stateFolder()}/locks`;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const fd = openSync(`${folder}/${name}`, 'a', 0o600);
  try {
    await lock(fd, 'exclusive', patience, what);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
