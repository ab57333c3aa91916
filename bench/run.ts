/** Runs the benchmarks, prints their figures and keeps them in bench/figures. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { arch, cpus, release } from 'node:os';
import { join } from 'node:path';
import type { Comparison } from './measure.ts';
import { benchProbe } from './probe.ts';
import { benchStartup } from './startup.ts';

const figures = join(import.meta.dirname, 'figures');
mkdirSync(figures, { recursive: true });
const machine = {
  arch: arch(),
  cores: cpus().length,
  cpu: cpus()[0]?.model ?? '',
  kernel: release(),
  node: process.version,
};

keep('startup', { 'one call, start to exit': await benchStartup() });
keep('probe', await benchProbe());

function keep(name: string, comparisons: Readonly<Record<string, Comparison>>): void {
  const file = join(figures, `${name}.json`);
  writeFileSync(
    file,
    `${JSON.stringify({ machine, date: new Date().toISOString().slice(0, 10), comparisons }, null, 2)}\n`,
  );
  for (const [title, { medians, ratios, rounds }] of Object.entries(comparisons)) {
    process.stdout.write(`\n${name}: ${title} (${rounds} rounds in turn)\n`);
    for (const [what, milliseconds] of Object.entries(medians)) {
      process.stdout.write(
        `  ${what.padEnd(14)} ${milliseconds.toFixed(1).padStart(9)} ms  ${ratios[what]} x\n`,
      );
    }
  }
}
