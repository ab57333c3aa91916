import { PluginError } from '../../src/smapi/errors.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { findTask, isPending, removeTask } from './record.ts';

/**
 * Task.destroy: forgets a task that is over. Succeeds where there is none.
 *
 * @throws PluginError `TaskInProgress`.
 */
export const destroy: Handler<'Task.destroy'> = ({ id }) => {
  const found = findTask(id);
  if (found === undefined) return;
  if (isPending(found.task)) {
    throw new PluginError(
      'TaskInProgress',
      `The task ${id} (${found.what}) is not over; cancel it (Task.cancel), or wait for its end.`,
    );
  }
  removeTask(id);
};
