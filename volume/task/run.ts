import { log } from '../../src/log.ts';
import { NamedError } from '../../src/smapi/errors.ts';
import type { TaskResult } from '../../src/smapi/interface.ts';
import { findTask, isAskedToCancel, isPending, listTasks, removeTask, startOf, writeTask } from './record.ts';

/** What an operation is told, and tells, as it goes. */
export interface Progress {
  /** Aborted when someone cancels the task; its reason is NamedError `Cancelled`. */
  readonly signal: AbortSignal;
  /** Tells how far the operation is, from 0 to 1. */
  readonly report: (progress: number) => void;
}

/** How an operation is described to who lists tasks. */
export interface Description {
  /** Such as `collect garbage`. */
  readonly what: string;
  /** The SR that it is about. */
  readonly sr: string;
  /** The caller's, to tell its task from others. */
  readonly dbg: string;
}

/** Milliseconds between looks at whether someone cancels, and between records of progress. */
const interval = 250;
/** How long a task that is over is kept, in seconds, unless someone destroys it before: most callers never ask. */
const keptFor = 3_600;

/**
 * Does something that takes long as a task: others on this host see how far it is, and may cancel it. A record that
 * cannot be written is missed, and not the operation.
 *
 * @throws what `operation` throws.
 */
export async function runAsTask<T>(
  { what, sr, dbg }: Description,
  operation: (progress: Progress) => Promise<T>,
  resultOf: (value: T) => TaskResult = () => ['UnitResult', null],
): Promise<T> {
  forgetOld();
  const id = crypto.randomUUID();
  const start = performance.now();
  const task = { id, debug_info: dbg, ctime: Date.now() / 1000, state: ['Pending', 0] as const };
  const owner = { what, sr, pid: process.pid, started: startOf(process.pid) ?? '' };
  let progress = 0;
  let recorded = 0;
  const controller = new AbortController();
  const record = (state: Parameters<typeof writeTask>[0]['task']['state']): void =>
    tryTo(() => writeTask({ ...owner, task: { ...task, state } }));
  record(task.state);
  const timer = setInterval(() => {
    if (isAskedToCancel(id) && !controller.signal.aborted) {
      controller.abort(new NamedError('Cancelled', id, `The task ${id} (${what}) was cancelled.`));
    }
    if (progress !== recorded) record(['Pending', progress]);
    recorded = progress;
  }, interval);
  try {
    const value = await operation({
      signal: controller.signal,
      report: (now) => {
        progress = Math.min(1, Math.max(0, now));
      },
    });
    record(['Completed', { duration: (performance.now() - start) / 1000, result: resultOf(value) }]);
    return value;
  } catch (error) {
    record(['Failed', error instanceof Error ? error.message : String(error)]);
    throw error;
  } finally {
    clearInterval(timer);
  }
}

function forgetOld(): void {
  tryTo(() => {
    for (const id of listTasks()) {
      const found = findTask(id)?.task;
      const isOld = found === undefined || found.ctime < Date.now() / 1000 - keptFor;
      if (isOld && (found === undefined || !isPending(found))) removeTask(id);
    }
  });
}

function tryTo(write: () => void): void {
  try {
    write();
  } catch (error) {
    log('warning', `a task was not recorded: ${error instanceof Error ? error.message : String(error)}`);
  }
}
