/** Processes that go on without us. Apart from commands.ts, for its library takes 15 ms to load, and this needs none. */
import { spawn } from 'node:child_process';
import { CommandError } from './command-error.ts';
import { commandEnvironment } from './find-command.ts';

/** A process that outlives its starter. */
export interface DetachedProcess {
  readonly pid: number;
  /** Its exit code or the signal that ended it, while its starter still lives. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

/**
 * Starts a process that goes on when this one ends, and then belongs to init: in a session of its own, without any of
 * this one's descriptors, so that nobody who reads a pipe of ours to its end waits for it.
 *
 * @param output descriptor of the file that takes what it prints.
 * @param inherit descriptors that it gets as 3, 4 and so on, and so keeps open and locked.
 * @throws CommandError when it cannot be started.
 */
export async function startDetached(
  command: string,
  args: readonly string[],
  { output, inherit }: { readonly output: number; readonly inherit: readonly number[] },
): Promise<DetachedProcess> {
  const child = spawn(command, [...args], {
    cwd: '/',
    env: commandEnvironment,
    detached: true,
    stdio: ['ignore', output, output, ...inherit],
  });
  const ended = new Promise<number | NodeJS.Signals>((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 0)),
  );
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new CommandError(
          error.code === 'ENOENT'
            ? `${command} is not installed on this host.`
            : `${command} could not be run (${error.code ?? error.message}).`,
          undefined,
          '',
        ),
      ),
    );
  });
  child.unref();
  return { pid: child.pid as number, ended };
}
