/** Asking the same thing again and again while something else happens. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CallFailed } from './smapi.ts';

/** What one question came to. */
export interface Answer<T> {
  /** Date.now() of question and answer. */
  readonly asked: number;
  readonly answered: number;
  readonly value?: T;
  readonly refusal?: CallFailed;
}

/** Questions that are being asked. */
export interface Polling<T> {
  readonly answers: readonly Answer<T>[];
  /** Asks no more, and waits for the last answer; fails where a question got none, or something unexpected. */
  stop(): Promise<void>;
}

/**
 * Asks one question after the other, with a second between them unless told. A refusal is an answer.
 *
 * @param isLast whether no more is to be asked after this answer.
 */
export function startPolling<T>(
  ask: () => Promise<T>,
  { seconds = 1, isLast = () => false }: { seconds?: number; isLast?: (answer: Answer<T>) => boolean } = {},
): Polling<T> {
  const answers: Answer<T>[] = [];
  const stopping = new AbortController();
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const answer = await askOnce(ask);
      answers.push(answer);
      if (isLast(answer)) return;
      await sleep(seconds * 1000, undefined, { signal: stopping.signal }).catch(() => {});
    }
  };
  let failure: unknown;
  const running = run().catch((error: unknown) => {
    failure = error;
  });
  return {
    answers,
    async stop() {
      stopping.abort();
      await running;
      if (failure !== undefined) throw failure;
    },
  };
}

async function askOnce<T>(ask: () => Promise<T>): Promise<Answer<T>> {
  const asked = Date.now();
  try {
    const value = await ask();
    return { asked, answered: Date.now(), value };
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error;
    return { asked, answered: Date.now(), refusal: error };
  }
}

/** The longest time that an answer took, in seconds. */
export function slowestAnswer({ answers }: Polling<unknown>): number {
  return Math.max(0, ...answers.map(({ asked, answered }) => answered - asked)) / 1000;
}
