import type { Handler } from '../../src/smapi/interface.ts';
import { listTasks } from './record.ts';

/** Task.ls: lists the tasks of this host, those that are over until they are destroyed, or for an hour. */
export const ls: Handler<'Task.ls'> = () => listTasks();
