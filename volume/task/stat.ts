import type { Handler } from '../../src/smapi/interface.ts';
import { getTask } from './record.ts';

/**
 * Task.stat: says how a task of this host is.
 *
 * @throws PluginError `TaskDoesNotExist`.
 */
export const stat: Handler<'Task.stat'> = ({ id }) => getTask(id).task;
