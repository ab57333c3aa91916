import type { Handler } from '../../src/smapi/interface.ts';
import { askToCancel, getTask, isPending } from './record.ts';

/**
 * Task.cancel: asks a task to end, and does not wait for that. Nothing is left of what it was to make. One that is
 * over stays what it is.
 *
 * @throws PluginError `TaskDoesNotExist`.
 */
export const cancel: Handler<'Task.cancel'> = ({ id }) => {
  if (isPending(getTask(id).task)) askToCancel(id);
};
