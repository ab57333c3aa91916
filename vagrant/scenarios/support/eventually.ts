/** Waiting for what is not at once so. */
import { setTimeout as sleep } from 'node:timers/promises';

/** How to wait. */
export interface EventuallyOptions {
  /** Seconds. */
  readonly within: number;
  /** Seconds between two looks; 1 unless told. */
  readonly every?: number;
}

/** Looks again and again until `look` does not throw, and gives what it returned; its last error when time is up. */
export async function eventually<T>(
  what: string,
  { within, every = 1 }: EventuallyOptions,
  look: () => Promise<T>,
): Promise<T> {
  const deadline = Date.now() + within * 1000;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (Date.now() > deadline)
        throw new Error(
          `${what}: not within ${within} s (${error instanceof Error ? error.message : String(error)})`,
          { cause: error },
        );
    }
    await sleep(every * 1000);
  }
}
