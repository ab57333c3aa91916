import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { CallName, Parameters, Result } from '../../src/smapi/interface.ts';
import type { Job, Outcome } from './volume-worker.ts';

/** A process that makes calls of the volume plugin, one after another; see volume-worker.ts. */
export class Worker {
  readonly #child: ChildProcess;

  constructor(environment: Readonly<Record<string, string>>) {
    this.#child = fork(join(import.meta.dirname, 'volume-worker.ts'), {
      env: { ...process.env, ...environment },
      execArgv: [],
      // Sizes are of more digits than a double has.
      serialization: 'advanced',
    });
  }

  async call<N extends CallName>(name: N, parameters: Omit<Parameters<N>, 'dbg'>): Promise<Result<N>> {
    const answer = once(this.#child, 'message') as Promise<[Outcome]>;
    this.#child.send({ name, parameters } satisfies Job);
    const [outcome] = await answer;
    if ('error' in outcome) throw new Error(`${name}: ${outcome.error}`);
    return outcome.result as Result<N>;
  }

  async end(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill();
    await ended;
  }
}
