/**
 * Runs the benchmarks, prints their figures and keeps them in bench/figures: `run.ts [SIZE [BENCHMARK...]]`.
 *
 * SIZE is that of the benchmarks of scale and datapaths, `full` or `quick`; all benchmarks run unless some are named.
 * Figures of a quick run are no figures to keep, and go to build/figures.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { arch, cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { benchActivation } from './activation.ts';
import { drawCharts } from './chart.ts';
import { benchDatapath, datapathScales } from './datapath.ts';
import type { Comparison, RateComparison } from './measure.ts';
import { benchProbe } from './probe.ts';
import { benchScale, type Listing, scales } from './scale.ts';
import { benchStall } from './stall.ts';
import { benchStartup } from './startup.ts';

const machine = {
  arch: arch(),
  cores: cpus().length,
  cpu: cpus()[0]?.model ?? '',
  kernel: release(),
  node: process.version,
  priority: priority(),
};
const date = new Date().toISOString().slice(0, 10);

const [size = 'full', ...named] = process.argv.slice(2);
if (!isSize(size)) throw new Error(`no size ${size}: ${Object.keys(scales).join(' or ')}`);
const figures = join(import.meta.dirname, size === 'full' ? 'figures' : '../build/figures');
mkdirSync(figures, { recursive: true });
// For what needs a filesystem that takes direct I/O, which the one of temporary files often does not.
const onDisk = join(import.meta.dirname, '../build');
const benchmarks: Readonly<Record<string, () => Promise<void>>> = {
  startup: async () => keep('startup', { 'one call, start to exit': await benchStartup() }),
  probe: async () => keep('probe', await benchProbe()),
  scale: async () => {
    const loadBefore = loadavg()[0];
    const { comparisons, listings, charts } = await benchScale(scales[size]);
    const load = { before: loadBefore, after: loadavg()[0] };
    keep('scale', comparisons, { size, load, listings });
    for (const listing of listings) printListing(listing);
    const of = `${machine.cores} cores (${machine.cpu}), ${machine.priority} priority, load ${load.before} to ${load.after}, ${date}`;
    writeFileSync(join(figures, 'scale.svg'), drawCharts(charts, `${of}, ${size}`));
  },
  activation: async () => {
    keep('activation', await benchActivation(size === 'full' ? 40 : 5, onDisk));
    process.stdout.write(
      '\nwithout a kernel NBD device on either side: what it takes to connect one is not in these\n',
    );
  },
  stall: async () => {
    const stall = await benchStall(size === 'full' ? 15 : 3, onDisk);
    if (stall === undefined) process.stdout.write('\nstall: no tap-ctl and vhd-util here to compare with\n');
    else keep('stall', { 'the longest write of a guest, milliseconds': stall });
  },
  datapath: async () => {
    const loadBefore = loadavg()[0];
    const { rates, processorRates } = await benchDatapath(datapathScales[size], onDisk);
    const load = { before: loadBefore, after: loadavg()[0] };
    keep('datapath', {}, { size, load, rates, processorRates });
    printRates('requests a second', rates);
    printRates("requests a second of the server's processor time", processorRates);
  },
};
for (const name of named.length === 0 ? Object.keys(benchmarks) : named) {
  const benchmark = benchmarks[name];
  if (benchmark === undefined) {
    throw new Error(`no benchmark ${name}: ${Object.keys(benchmarks).join(', ')}`);
  }
  await benchmark();
}

function keep(
  name: string,
  comparisons: Readonly<Record<string, Comparison>>,
  more: Readonly<Record<string, unknown>> = {},
): void {
  const file = join(figures, `${name}.json`);
  writeFileSync(file, `${JSON.stringify({ machine, date, ...more, comparisons }, null, 2)}\n`);
  for (const [title, { medians, least, ratios, rounds }] of Object.entries(comparisons)) {
    process.stdout.write(`\n${name}: ${title} (${rounds} rounds in turn)\n`);
    const width = Math.max(14, ...Object.keys(medians).map((what) => what.length));
    for (const [what, milliseconds] of Object.entries(medians)) {
      process.stdout.write(
        `  ${what.padEnd(width)} ${milliseconds.toFixed(1).padStart(9)} ms, at least ${least[what]}  ${ratios[what]} x\n`,
      );
    }
  }
}

function printRates(unit: string, rates: Readonly<Record<string, RateComparison>>): void {
  for (const [title, { medians, ratios, middleHalves, rounds }] of Object.entries(rates)) {
    process.stdout.write(`\n${title}: ${unit} (${rounds} rounds)\n`);
    for (const [what, rate] of Object.entries(medians)) {
      const [from, to] = middleHalves[what] ?? [];
      process.stdout.write(
        `  ${what.padEnd(14)} ${rate.toFixed(0).padStart(7)}  ${ratios[what]} x (half of them ${from} to ${to})\n`,
      );
    }
  }
}

function printListing({ volumes, answer, systemCalls, queries }: Listing): void {
  process.stdout.write(
    `\nSR.ls of ${volumes} volumes: ${answer} bytes, ${systemCalls.all} system calls, ${systemCalls.onCatalog} of them on the catalog, ${systemCalls.onImages} on images (${systemCalls.onImagesByStat} of a Volume.stat); ${queries.length} queries\n`,
  );
}

function isSize(name: string): name is keyof typeof scales {
  return Object.hasOwn(scales, name);
}

/** Whether this process has the processor only when nobody else wants it. */
function priority(): 'idle' | 'normal' {
  // proc(5): the 41st field of stat is the scheduling policy, and 5 is SCHED_IDLE; the second one may have blanks.
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ') ?? [];
  return fields[38] === '5' ? 'idle' : 'normal';
}
