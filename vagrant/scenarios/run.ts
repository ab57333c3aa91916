/** Runs scenarios in a lab that is up, one after the other. */
import { join } from 'node:path';
import { fenceEvents } from '../lab/fence.ts';
import { IscsiTarget } from '../lab/target.ts';
import { InfrastructureError, type Vagrant } from '../lib/index.ts';
import type { Scenario, Stage } from './scenario.ts';
import { haveCluster } from './support/cluster.ts';
import { keepEvidence } from './support/evidence.ts';
import { Host } from './support/host.ts';

/** Where the logs of failures are kept, which outlives the lab. */
export const logFolder = join(import.meta.dirname, '../../build/lab-logs');

/** How a scenario ended. */
export interface Outcome {
  readonly letter: string;
  readonly title: string;
  readonly seconds: number;
  /** Undefined when it passed. */
  readonly failure?: string;
}

export interface RunOptions {
  readonly vagrant: Vagrant;
  readonly hosts: readonly string[];
  readonly signal: AbortSignal;
  /** Takes a line of text. */
  readonly print: (line: string) => void;
  readonly onOutcome: (outcome: Outcome) => void;
}

/**
 * Tells each scenario's outcome as soon as it is known. After one that failed the hosts start anew, for the next one's sake.
 *
 * @throws InfrastructureError when the lab failed, not what is tried in it; logs are kept.
 */
export async function runScenarios(scenarios: readonly Scenario[], options: RunOptions): Promise<void> {
  const { vagrant, hosts, signal, print, onOutcome } = options;
  for (const [index, scenario] of scenarios.entries()) {
    print('');
    print(`scenario ${scenario.letter}: ${scenario.title}`);
    print(`  proves: ${scenario.proves}`);
    const started = performance.now();
    const ended = (failure?: string): Outcome => ({
      letter: scenario.letter,
      title: scenario.title,
      seconds: Math.round((performance.now() - started) / 100) / 10,
      ...(failure === undefined ? {} : { failure }),
    });
    try {
      await runOne(scenario, options);
      const outcome = ended();
      print(`  passed after ${outcome.seconds} s`);
      onOutcome(outcome);
    } catch (error) {
      signal.throwIfAborted();
      const folder = await keepEvidence(vagrant, ['target', ...hosts], logFolder, scenario.letter);
      const message = error instanceof Error ? error.message : String(error);
      print(`  FAILED after ${ended().seconds} s: ${message}`);
      if (error instanceof Error && error.stack !== undefined)
        print(error.stack.split('\n').slice(1, 6).join('\n'));
      print(`  logs, consoles and states of all machines are in ${folder}`);
      if (error instanceof InfrastructureError) throw error;
      onOutcome(ended(message));
      if (index < scenarios.length - 1) await restartHosts(options);
    }
  }
}

async function runOne(scenario: Scenario, { vagrant, hosts: names, print }: RunOptions): Promise<void> {
  const hosts = names.map((name) => new Host(vagrant.machine(name)));
  const fencesBefore = fenceEvents().length;
  const later: (() => Promise<unknown>)[] = [];
  const step: Stage['step'] = async (what, work) => {
    const started = performance.now();
    let seen = 'did not go through';
    try {
      seen = await work();
    } finally {
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      print(`${seconds.padStart(7)} s  ${what}: ${seen}`);
    }
  };
  const stage: Stage = {
    hosts,
    target: new IscsiTarget(vagrant.machine('target')),
    vagrant,
    host(number) {
      const found = hosts[number - 1];
      if (found === undefined) throw new Error(`There is no host ${number} in this lab.`);
      return found;
    },
    step,
    haveCluster: () =>
      step('all hosts in a cluster', async () => {
        await haveCluster(hosts);
        return 'quorate, with fencing';
      }),
    fenceEvents: () => fenceEvents().slice(fencesBefore),
    afterwards: (work) => later.unshift(work),
  };
  let failed = true;
  try {
    await scenario.run(stage);
    failed = false;
  } finally {
    for (const work of later) {
      // What failed first is what counts.
      await work().catch((error: unknown) => {
        if (!failed) throw error;
      });
    }
  }
}

async function restartHosts({ vagrant, hosts, print }: RunOptions): Promise<void> {
  print('  the hosts start anew');
  await Promise.all(
    hosts.map(async (name) => {
      const machine = vagrant.machine(name);
      if (await machine.hasPower()) await machine.powerCut();
      await machine.start();
    }),
  );
}
