/** The locks of the catalog beside those that SQLite has itself, by all hosts at once. */
import { strict as assert } from 'node:assert';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Transactions } from '../on-host/count-transactions.ts';
import type { Stage } from '../scenario.ts';
import { runProgram } from '../support/on-host.ts';
import type { Sr } from '../support/sr.ts';

const figures = join(import.meta.dirname, '../../../build/figures');
/** Of each manner in each round. */
const seconds = 10;
const rounds = 2;
const manners = ['sqlite', 'ours'] as const;

/** Of one manner: transactions by host, and the longest of all. */
interface Total {
  readonly counts: number[];
  longest: number;
}

export async function compareLocks({ hosts, host, step }: Stage, { uuid }: Sr): Promise<void> {
  await step(`transactions by all hosts, ${rounds * seconds} s by each kind of locks`, async () => {
    const folder = `${host(1).mountPoint(uuid)}/locks`;
    const totals: Record<(typeof manners)[number], Total> = { sqlite: newTotal(), ours: newTotal() };
    await host(1).sh(
      'touch "$1/transactions.lock"; sqlite3 "$1/transactions.sqlite" "CREATE TABLE rows (id INTEGER PRIMARY KEY)"',
      [folder],
    );
    for (let round = 0; round < rounds; round++) {
      for (const manner of manners) {
        const args = [manner, folder, String(seconds)];
        const said = await Promise.all(
          hosts.map((each) => runProgram(each, 'count-transactions', args, { timeout: 300_000 })),
        );
        add(
          totals[manner],
          said.map(({ stdout }) => JSON.parse(stdout) as Transactions),
        );
      }
    }
    const rows = await host(1).sh(
      'sqlite3 "$1/transactions.sqlite" "SELECT count(*) FROM rows"; rm "$1"/transactions*',
      [folder],
    );
    assert.equal(
      Number(rows),
      sum(totals.sqlite.counts) + sum(totals.ours.counts),
      'rows that were acknowledged',
    );
    keep(totals, hosts.length);
    return manners.map((manner) => describe(manner, totals[manner])).join('; ');
  });
}

function newTotal(): Total {
  return { counts: [], longest: 0 };
}

function add(total: Total, said: readonly Transactions[]): void {
  for (const [index, { count, longest }] of said.entries()) {
    total.counts[index] = (total.counts[index] ?? 0) + count;
    total.longest = Math.max(total.longest, longest);
  }
}

function describe(manner: string, { counts, longest }: Total): string {
  const rate = (sum(counts) / (rounds * seconds)).toFixed(1);
  return `${manner === 'ours' ? 'flock' : "SQLite's own"} ${rate}/s (${counts.join(', ')} by host, the longest ${(longest / 1000).toFixed(1)} s)`;
}

/** As bench/ keeps what it measures. */
function keep({ ours, sqlite }: Record<(typeof manners)[number], Total>, hosts: number): void {
  mkdirSync(figures, { recursive: true });
  const total = sum(ours.counts);
  const kept = {
    date: new Date().toISOString().slice(0, 10),
    hosts,
    seconds: rounds * seconds,
    ours: { ...ours, leastShare: (Math.min(...ours.counts) * hosts) / total },
    peer: { what: "SQLite's own locks", ...sqlite },
    ratio: total / sum(sqlite.counts),
  };
  writeFileSync(join(figures, 'gfs2-locks.json'), `${JSON.stringify(kept, undefined, 2)}\n`);
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
