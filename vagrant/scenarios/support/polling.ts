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
  /** In the order in which they came. */
  readonly answers: readonly Answer<T>[];
  /** Asks no more, and waits for the last answer; fails where a question got none, or something unexpected. */
  stop(): Promise<void>;
}

/** How to ask. */
export interface PollingOptions<T> {
  /** Between two questions; 1 unless told. */
  readonly seconds?: number;
  /** Whether to ask on while a question has no answer yet. */
  readonly impatient?: boolean;
  /** Whether no more is to be asked after this answer. */
  readonly isLast?: (answer: Answer<T>) => boolean;
}

/** Asks again and again. A refusal is an answer. */
export function startPolling<T>(
  ask: () => Promise<T>,
  { seconds = 1, impatient = false, isLast = () => false }: PollingOptions<T> = {},
): Polling<T> {
  const answers: Answer<T>[] = [];
  const questions: Promise<void>[] = [];
  const stopping = new AbortController();
  let failure: unknown;
  const askAndKeep = async (): Promise<void> => {
    try {
      const answer = await askOnce(ask);
      answers.push(answer);
      if (isLast(answer)) stopping.abort();
    } catch (error) {
      failure ??= error;
      stopping.abort();
    }
  };
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const question = askAndKeep();
      questions.push(question);
      if (!impatient) await question;
      await sleep(seconds * 1000, undefined, { signal: stopping.signal }).catch(() => {});
    }
  };
  const running = run();
  return {
    answers,
    async stop() {
      stopping.abort();
      await running;
      await Promise.all(questions);
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
