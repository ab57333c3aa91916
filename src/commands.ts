/** The one way to run a command of the host. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { endWithUs } from './children.ts';
import { commandFolders } from './find-command.ts';
import { PluginError } from './smapi/errors.ts';

/** What a command printed and how it ended. */
export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** How to run a command. */
export interface CommandOptions {
  /** Text for its standard input; secrets go here and never into the arguments. */
  readonly input?: string;
  /** Milliseconds until it is killed; 60,000 unless told. */
  readonly timeout?: number;
  /** Exit codes that are no failure; `[0]` unless told. */
  readonly expect?: readonly number[];
  /** How its output comes as text: `utf8` unless told; `hex` for bytes. */
  readonly encoding?: 'utf8' | 'hex';
  /**
   * Descriptors that it gets as 3, 4 and so on: whatever they lock stays locked until it ends too, also where
   * this process dies before.
   */
  readonly inherit?: readonly number[];
  /** Gets its standard output piece by piece, as it comes. */
  readonly onOutput?: (text: string) => void;
  /** Ends it, by SIGTERM and then SIGKILL, when aborted; it is over when {@link run} throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A command that could not be run, failed or took too long. */
export class CommandError extends PluginError {
  readonly exitCode: number | undefined;
  readonly stderr: string;
  /** The process of a command that not even SIGKILL ended: the kernel holds it in a system call. */
  readonly stuck: number | undefined;
  /** Whether it took too long. */
  readonly timedOut: boolean;

  constructor(
    message: string,
    exitCode: number | undefined,
    stderr: string,
    late: { readonly timedOut?: boolean; readonly stuck?: number | undefined } = {},
  ) {
    super('CommandFailed', message);
    this.exitCode = exitCode;
    this.stderr = stderr;
    this.stuck = late.stuck;
    this.timedOut = late.timedOut ?? false;
  }
}

/** Milliseconds from SIGTERM to SIGKILL for a command that took too long, and from there to giving it up. */
const killDelay = 2_000;

/** Why a command's end does not come though its process was killed. */
type Late = 'held' | 'gone';

/**
 * Comes when a command has not ended `limit` ms after its start: its process is `held` by the kernel, where one
 * that waits for a storage or a lock survives SIGKILL until that is over; or it is `gone`, and a child of its own
 * has its output open. On a busy host a process that was killed can take long to go, and our own timers can all
 * be late: so it is looked at some times.
 */
async function late(pid: number | undefined, limit: number, signal: AbortSignal): Promise<Late> {
  await sleep(limit, undefined, { signal, ref: false }).catch(() => {});
  let state = lateness(pid);
  for (let alike = 0; alike < 5 && !signal.aborted; alike += 1) {
    await sleep(500, undefined, { signal, ref: false }).catch(() => {});
    const now = lateness(pid);
    if (now === undefined || now !== state) alike = -1;
    state = now;
  }
  return state ?? 'gone';
}

/** Undefined for a process that is on its way to its end. */
function lateness(pid: number | undefined): Late | undefined {
  try {
    // proc(5): the state is behind the name in brackets.
    const state = /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1];
    return state === 'D' ? 'held' : state === 'Z' ? 'gone' : undefined;
  } catch {
    return 'gone';
  }
}

const environment: NodeJS.ProcessEnv = { PATH: commandFolders.join(':'), LC_ALL: 'C' };

/**
 * Runs a command without a shell, in the C locale, and waits for it and for its output to end.
 *
 * @throws CommandError naming the command, its exit code and the last line it printed on stderr; the reason of
 * an aborted `signal`.
 */
export async function run(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { input = '', inherit = [], encoding = 'utf8', expect = [0], onOutput, signal } = options;
  const timeout = Math.ceil(options.timeout ?? 60_000);
  signal?.throwIfAborted();
  const child = start(command, args, {
    env: { ...process.env, ...environment },
    stdio: ['pipe', 'pipe', 'pipe', ...inherit],
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout.push(chunk);
    onOutput?.(String(chunk));
  });
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A command may end, or not start, without reading it.
  child.stdin?.on('error', () => {}).end(input);

  const ended = new AbortController();
  const outlives = endWithUs(child);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    kill(child);
  }, timeout);
  const cancel = (): void => kill(child);
  signal?.addEventListener('abort', cancel);
  let end: End | Late;
  try {
    end = await Promise.race([endOf(child), late(child.pid, timeout + 2 * killDelay, ended.signal)]);
  } finally {
    outlives();
    clearTimeout(timer);
    signal?.removeEventListener('abort', cancel);
    ended.abort();
  }
  const said = Buffer.concat(stderr)
    .toString()
    .replace(/\r?\n$/, '');
  if (end === 'held') {
    throw new CommandError(
      `${command} did not end within ${timeout} ms, and cannot be killed: the kernel holds process ${child.pid}.`,
      undefined,
      '',
      { timedOut: true, stuck: child.pid },
    );
  }
  if (end !== 'gone' && signal?.aborted === true) throw signal.reason;
  if (end === 'gone' || timedOut) {
    throw new CommandError(`${command} did not end within ${timeout} ms.`, undefined, said, {
      timedOut: true,
    });
  }
  if (end instanceof Error) throw notStarted(command, end);
  if (typeof end === 'string') {
    throw new CommandError(`${command} could not be run (${end}).`, undefined, said);
  }
  if (!expect.includes(end)) {
    const last = said.split('\n').findLast((line) => line.trim() !== '');
    throw new CommandError(
      `${command} failed with exit code ${end}${last === undefined ? '' : `: ${last.trim()}`}`,
      end,
      said,
    );
  }
  const output = Buffer.concat(stdout).toString(encoding);
  return { stdout: output.replace(/\r?\n$/, ''), stderr: said, exitCode: end };
}
/** A command's exit code, the signal that ended it, or why it was not started. */
type End = number | NodeJS.Signals | NodeJS.ErrnoException;

/** Comes when a command has ended and nobody has its output open any more. */
function endOf(child: ChildProcess): Promise<End> {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      if (child.pid === undefined) resolve(error);
    });
    child.once('close', (code, signal) => resolve(code ?? signal ?? 0));
  });
}

/** Ends a command by SIGTERM, and by SIGKILL where that is not enough. */
function kill(child: ChildProcess): void {
  child.kill('SIGTERM');
  setTimeout(() => child.kill('SIGKILL'), killDelay).unref();
}

/** Some failures to start are thrown, the others come as events. */
function start(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  try {
    return spawn(command, args, options);
  } catch (error) {
    throw notStarted(command, error as NodeJS.ErrnoException);
  }
}

function notStarted(command: string, { code, message }: NodeJS.ErrnoException): CommandError {
  const why = code === 'ENOENT' ? 'is not installed on this host' : `could not be run (${code ?? message})`;
  return new CommandError(`${command} ${why}.`, undefined, '');
}

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
  const child = start(command, args, {
    cwd: '/',
    env: environment,
    detached: true,
    stdio: ['ignore', output, output, ...inherit],
  });
  const ended = new Promise<number | NodeJS.Signals>((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 0)),
  );
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) => reject(notStarted(command, error)));
  });
  child.unref();
  return { pid: child.pid as number, ended };
}
