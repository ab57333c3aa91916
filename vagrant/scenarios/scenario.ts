/** What a scenario is, and what it is given. */
import type { FenceEvent } from '../lab/fence.ts';
import type { IscsiTarget } from '../lab/target.ts';
import type { Vagrant } from '../lib/index.ts';
import type { Host } from './support/host.ts';

/** A story that is told to a lab, and what it proves. */
export interface Scenario {
  /** One letter, for `make lab SCENARIO=a`. */
  readonly letter: string;
  readonly title: string;
  /** What is true if it passes, for those who read the output. */
  readonly proves: string;
  /** How many hosts it needs, 1 to 3; it is given all that there are. */
  readonly hosts: number;
  /** Throws when something is not as it should be. */
  run(stage: Stage): Promise<void>;
}

/** A lab with a target and hosts that are up and have nothing attached. */
export interface Stage {
  readonly hosts: readonly Host[];
  readonly target: IscsiTarget;
  /** For power, networks, frozen machines: `vagrant.machine('host1')`, or `host.machine`. */
  readonly vagrant: Vagrant;
  /** A host by its number, from 1. */
  host(number: number): Host;
  /** Does one thing and prints how long it took, and what it returns: what was seen, in words. */
  step(what: string, work: () => Promise<string>): Promise<void>;
  /** Has all hosts in one quorate cluster with fencing, whatever was there before; quick when it is there. */
  haveCluster(): Promise<void>;
  /** What the fence server was asked since this scenario began. */
  fenceEvents(): readonly FenceEvent[];
  /** Something to do at the end, also when the scenario fails; the last one comes first. */
  afterwards(work: () => Promise<unknown>): void;
}
