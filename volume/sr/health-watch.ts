/**
 * A look at an SR's storage while a call may hang in it: what was well when the call began may not be any more, such
 * as when another host is lost and the kernel waits for its fencing. The call then answers with that at once, instead
 * of failing at its deadline.
 */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { canAnswerForHung } from '../../src/deadline.ts';
import type { AttachedSr } from './attached.ts';

/** What the thread that looks is given. */
export interface Watched {
  readonly sr: AttachedSr;
  readonly clustered: boolean;
}

/** Has SR.stat answered for, should its storage become unusable before the watch ends. */
export function watchHealth(watched: Watched): Disposable {
  if (!canAnswerForHung()) return { [Symbol.dispose]() {} };
  // A thread of its own, for that of the call does nothing while it hangs.
  const source = import.meta.filename.endsWith('.ts') ? 'ts' : 'cjs';
  const worker = new Worker(join(import.meta.dirname, `health-watcher.${source}`), {
    workerData: watched,
  });
  worker.unref();
  // What cannot be watched has its deadline.
  worker.on('error', () => {});
  return {
    [Symbol.dispose]() {
      void worker.terminate();
    },
  };
}
