/**
 * `count-transactions.ts ours|sqlite FOLDER SECONDS`: adds rows to a database in a folder, each in a transaction of its
 * own for which the database is opened anew, as calls do. Prints how many there were, and the longest in milliseconds.
 *
 * `ours` guards it by flock(2) as docs/sr-layout.md says; `sqlite` leaves that to SQLite.
 */
import { closeSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a host says. */
export interface Transactions {
  readonly count: number;
  readonly longest: number;
}

const [manner, folder = '', seconds = ''] = process.argv.slice(2);
const posix = createRequire(import.meta.url)('/usr/libexec/gfs2-iscsi-sr/posix.node') as {
  flock(fd: number, operation: number): number;
};
const exclusively = 2 | 4;
const file = `${folder}/transactions.sqlite`;
const transact = manner === 'ours' ? transactLocked : transactBySqlite;
let count = 0;
let longest = 0;
const end = performance.now() + Number(seconds) * 1000;
while (performance.now() < end) {
  const start = performance.now();
  await transact();
  count += 1;
  longest = Math.max(longest, performance.now() - start);
}
process.stdout.write(JSON.stringify({ count, longest } satisfies Transactions));

async function transactLocked(): Promise<void> {
  const lock = openSync(`${folder}/transactions.lock`, 'a');
  try {
    for (let wait = 1; posix.flock(lock, exclusively) !== 0; wait = Math.min(wait * 1.5, 20)) {
      await sleep(wait * (0.5 + Math.random()));
    }
    addRow(new DatabaseSync(new URL(`file://${file}?vfs=unix-none`)));
  } finally {
    closeSync(lock);
  }
}

function transactBySqlite(): void {
  addRow(new DatabaseSync(file, { timeout: 120_000 }));
}

function addRow(database: DatabaseSync): void {
  try {
    database.exec(
      'PRAGMA journal_mode = PERSIST; PRAGMA synchronous = FULL; BEGIN IMMEDIATE; INSERT INTO rows DEFAULT VALUES; COMMIT',
    );
  } finally {
    database.close();
  }
}
