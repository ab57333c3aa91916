import { setTimeout as sleep } from 'node:timers/promises';
import { askToCancel, findTask, isPending, listTasks } from '../task/record.ts';

/** The task of a pass over an SR. */
export const collectionTask = 'collect garbage';

/** Milliseconds that a pass gets to end. */
const patience = 15_000;

/**
 * Ends this host's garbage collection of an SR, which would keep the SR in use; returns when it is over, or does not
 * end.
 */
export async function stopCollection(sr: string): Promise<void> {
  const end = performance.now() + patience;
  const isRunning = (id: string): boolean => {
    const found = findTask(id);
    return found !== undefined && found.sr === sr && found.what === collectionTask && isPending(found.task);
  };
  const running = listTasks().filter(isRunning);
  for (const id of running) askToCancel(id);
  while (running.some(isRunning) && performance.now() < end) await sleep(50);
}
