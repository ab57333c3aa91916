/** Runs SR.ls on the SR that is named, and prints the statements that it had SQLite run, as JSON. */
import { StatementSync } from 'node:sqlite';
import { ls } from '../volume/sr/ls.ts';

const statements: string[] = [];
for (const name of ['all', 'get', 'run', 'iterate'] as const) {
  const original: (...values: never[]) => unknown = StatementSync.prototype[name];
  Object.defineProperty(StatementSync.prototype, name, {
    value(this: StatementSync, ...values: never[]): unknown {
      statements.push(this.sourceSQL.replace(/\s+/g, ' ').trim());
      return original.apply(this, values);
    },
  });
}
await ls({ dbg: 'bench', sr: process.argv[2] ?? '' });
process.stdout.write(JSON.stringify(statements));
