/** Records of long operations of this host: a file each, below /run. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { removeFile, writeFileAtomically } from '../../src/atomic-file.ts';
import { hostPaths } from '../../src/host-paths.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { type Task, task } from '../../src/smapi/interface.ts';
import { formatJson, parseJson } from '../../src/smapi/json.ts';
import { int, record, string, type TypeOf } from '../../src/smapi/schema.ts';
import { isUuid } from '../../src/uuid.ts';

const taskRecord = record('task_record', {
  task,
  /** What it does, such as `collect garbage`. */
  what: string,
  /** The SR that it is about. */
  sr: string,
  /** The process that does it. */
  pid: int,
  /** When that was started, in ticks since the boot: numbers of processes come again. */
  started: string,
});

/** An operation, and whose it is. */
export type TaskRecord = TypeOf<typeof taskRecord>;

function taskFolder(): string {
  return `${hostPaths.run}/task`;
}

function taskFile(id: string): string {
  return `${taskFolder()}/${id}.json`;
}

function cancelFile(id: string): string {
  return `${taskFolder()}/${id}.cancel`;
}

/** Writes a task's record. */
export function writeTask(record: TaskRecord): void {
  mkdirSync(taskFolder(), { recursive: true, mode: 0o700 });
  writeFileAtomically(taskFile(record.task.id), `${formatJson(taskRecord.encode(record, 'task'))}\n`);
}

/**
 * A task by its id; undefined where there is none. One whose process died before it ended has failed.
 */
export function findTask(id: string): TaskRecord | undefined {
  // An id is a caller's text: only a uuid may become part of a path.
  if (!isUuid(id)) return undefined;
  let found: TaskRecord;
  try {
    found = taskRecord.decode(parseJson(readFileSync(taskFile(id), 'utf8')), 'task');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  if (!isPending(found.task) || startOf(found.pid) === found.started) return found;
  const died = `The process ${found.pid} that was to ${found.what} ended before it was done.`;
  return { ...found, task: { ...found.task, state: ['Failed', died] } };
}

/**
 * A task by its id.
 *
 * @throws PluginError `TaskDoesNotExist`.
 */
export function getTask(id: string): TaskRecord {
  const found = findTask(id);
  if (found !== undefined) return found;
  throw new PluginError(
    'TaskDoesNotExist',
    `There is no task ${JSON.stringify(id.slice(0, 100))} on this host; Task.ls lists those that there are.`,
  );
}

/** Whether a task is not over. */
export function isPending({ state }: Task): boolean {
  return state[0] === 'Pending';
}

/** The ids of all tasks. */
export function listTasks(): readonly string[] {
  let names: readonly string[];
  try {
    names = readdirSync(taskFolder());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return names.flatMap((name) => {
    const id = name.endsWith('.json') ? name.slice(0, -'.json'.length) : '';
    return isUuid(id) ? [id] : [];
  });
}

/** Removes all traces of a task. */
export function removeTask(id: string): void {
  removeFile(taskFile(id));
  rmSync(cancelFile(id), { force: true });
}

/** Asks the process of a task to end it. */
export function askToCancel(id: string): void {
  writeFileSync(cancelFile(id), '', { mode: 0o600 });
}

/** Whether someone asked for a task's end. */
export function isAskedToCancel(id: string): boolean {
  try {
    readFileSync(cancelFile(id));
    return true;
  } catch {
    return false;
  }
}

/** When a process was started, as proc(5) has it; undefined where there is none of that number. */
export function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Behind the name in brackets, which may hold anything, it is the 20th.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
