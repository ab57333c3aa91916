/**
 * `node vagrant/scenarios/main.ts [LETTER...]`: brings the lab up, runs scenarios (all unless told) and takes it down.
 * With `--here` it runs them in the lab that is up, and leaves that.
 *
 * LAB_HOSTS, LAB_BOX_EXTRA: as for lab-up; no more hosts than the scenarios need unless told. The last line is
 * `N passed, N failed`; the exit code is 0 when all passed, 1 when one failed, 2 when the lab did, 130 when
 * interrupted. `--report FILE` writes the outcomes as JSON.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { claimLab, hostNames, labDown, labHosts, labUp, openLab } from '../lab/lab.ts';
import { InfrastructureError } from '../lib/index.ts';
import { catalogue } from './catalogue.ts';
import { logFolder, type Outcome, runScenarios } from './run.ts';
import type { Scenario } from './scenario.ts';
import { keepConsoles } from './support/evidence.ts';

const { values, positionals } = parseArgs({
  options: { here: { type: 'boolean', default: false }, report: { type: 'string' } },
  allowPositionals: true,
});
const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt.abort());

try {
  process.exitCode = await main(choose(positionals));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = interrupt.signal.aborted ? 130 : 2;
}

async function main(scenarios: readonly Scenario[]): Promise<number> {
  if (process.getuid?.() !== 0) throw new Error('The lab needs root: run it through sudo.');
  const outcomes: Outcome[] = [];
  try {
    if (values.here) await runHere(scenarios, outcomes);
    else await runTwiceIfNeeded(scenarios, outcomes);
  } finally {
    if (values.report !== undefined) writeFileSync(values.report, JSON.stringify(outcomes));
  }
  const failed = outcomes.filter(({ failure }) => failure !== undefined).length;
  print('');
  for (const { letter, title, seconds, failure } of outcomes)
    print(`${failure === undefined ? 'passed' : 'FAILED'}  ${letter}  ${title} (${seconds} s)`);
  print(`${outcomes.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

/** A lab that fails is built once more for the scenarios that have no outcome yet; one that failed has. */
async function runTwiceIfNeeded(scenarios: readonly Scenario[], outcomes: Outcome[]): Promise<void> {
  const left = (): readonly Scenario[] =>
    scenarios.filter(({ letter }) => !outcomes.some((outcome) => outcome.letter === letter));
  try {
    await runFromScratch(left(), outcomes);
  } catch (error) {
    if (!(error instanceof InfrastructureError) || interrupt.signal.aborted) throw error;
    print(`\nTHE LAB FAILED, not what is tried in it: ${error.message}\nOnce more, from scratch.`);
    await runFromScratch(left(), outcomes);
  }
}

async function runHere(scenarios: readonly Scenario[], outcomes: Outcome[]): Promise<void> {
  const { signal } = interrupt;
  const vagrant = openLab({ signal, onProgress: () => {} });
  const hosts = hostNames(labHosts());
  const tooMuch = scenarios.find((scenario) => scenario.hosts > hosts.length);
  if (tooMuch !== undefined)
    throw new Error(
      `Scenario ${tooMuch.letter} needs ${tooMuch.hosts} hosts, and this lab has ${hosts.length}.`,
    );
  try {
    await runScenarios(scenarios, { vagrant, hosts, signal, print, onOutcome: (one) => outcomes.push(one) });
  } finally {
    await vagrant.close();
  }
}

async function runFromScratch(scenarios: readonly Scenario[], outcomes: Outcome[]): Promise<void> {
  const { signal } = interrupt;
  const hosts = Math.max(
    Number(process.env.LAB_HOSTS ?? '1'),
    ...scenarios.map((scenario) => scenario.hosts),
  );
  if (!(hosts <= 3)) throw new Error('LAB_HOSTS is a number from 1 to 3.');
  const started = performance.now();
  const onProgress = (line: string): void =>
    print(`${((performance.now() - started) / 1000).toFixed(1).padStart(7)} s  ${line}`);
  await claimLab();
  let isUp = false;
  try {
    const vagrant = await labUp({ hosts, extraFolder: process.env.LAB_BOX_EXTRA, signal, onProgress });
    isUp = true;
    onProgress('the lab is up');
    await runScenarios(scenarios, {
      vagrant,
      hosts: hostNames(hosts),
      signal,
      print,
      onOutcome: (one) => outcomes.push(one),
    });
  } catch (error) {
    // When a scenario was under way, more is kept already.
    if (error instanceof InfrastructureError && !isUp)
      print(`consoles and what the failed tool said are in ${keepConsoles(error, logFolder)}`);
    throw error;
  } finally {
    await labDown();
    print('the lab is down, and nothing of it is left');
  }
}

function choose(letters: readonly string[]): readonly Scenario[] {
  const wanted = letters.join('').replaceAll(/[\s,]/g, '');
  const unknown = [...wanted].find((letter) => !catalogue.some((scenario) => scenario.letter === letter));
  if (unknown !== undefined)
    throw new Error(
      `There is no scenario ${unknown}; there are ${catalogue.map(({ letter }) => letter).join(', ')}.`,
    );
  return wanted === '' ? catalogue : catalogue.filter(({ letter }) => wanted.includes(letter));
}
