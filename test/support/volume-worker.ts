/**
 * A process that runs calls of the volume plugin one after another, as many processes of xapi would, without
 * starting one for each. It is told them, and tells what came of them, by messages.
 */
import type { CallName } from '../../src/smapi/interface.ts';
import { volumePlugin } from '../../volume/calls.ts';

/** A call to make. */
export interface Job {
  readonly name: CallName;
  readonly parameters: object;
}

/** What came of it. */
export type Outcome = { readonly result: unknown } | { readonly error: string };

process.on('message', async ({ name, parameters }: Job) => {
  process.send?.(await perform(name, parameters));
});

async function perform(name: CallName, parameters: object): Promise<Outcome> {
  try {
    const handler = (await volumePlugin[name]?.()) as ((parameters: object) => unknown) | undefined;
    return { result: await handler?.({ dbg: 'test', ...parameters }) };
  } catch (error) {
    return { error: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
  }
}
