/** The one way to run a command of the host. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { CommandError } from './command-error.ts';
import { commandEnvironment } from './find-command.ts';

export { CommandError };

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
  /** Whether its standard output is also kept, as far as memory goes; it is unless told. */
  readonly keepOutput?: boolean;
  /** Ends it, by SIGTERM and then SIGKILL, when aborted; it is over when {@link run} throws the signal's reason. */
  readonly signal?: AbortSignal;
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

/**
 * Runs a command without a shell, in the C locale, and waits for it.
 *
 * @throws CommandError naming the command, its exit code and the last line it printed on stderr; the reason of
 * an aborted `signal`.
 */
export async function run(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const timeout = Math.ceil(options.timeout ?? 60_000);
  const running = execa(command, [...args], {
    env: commandEnvironment,
    input: options.input ?? '',
    // execa's type knows descriptors up to 9, but it takes any.
    stdio: ['pipe', 'pipe', 'pipe', ...(options.inherit ?? []).map((fd) => fd as 3)],
    timeout,
    forceKillAfterDelay: killDelay,
    reject: false,
    stripFinalNewline: true,
    encoding: options.encoding ?? 'utf8',
    buffer: { stdout: options.keepOutput ?? true },
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
  });
  const { onOutput } = options;
  if (onOutput !== undefined) running.stdout.on('data', (chunk: Buffer) => onOutput(String(chunk)));
  const ended = new AbortController();
  const result = await Promise.race([running, late(running.pid, timeout + 2 * killDelay, ended.signal)]);
  ended.abort();
  if (result === 'held') {
    throw new CommandError(
      `${command} did not end within ${timeout} ms, and cannot be killed: the kernel holds process ${running.pid}.`,
      undefined,
      '',
      { timedOut: true, stuck: running.pid },
    );
  }
  if (result !== 'gone' && result.isCanceled) throw options.signal?.reason;
  if (result === 'gone' || result.timedOut) {
    const said = result === 'gone' ? '' : result.stderr;
    throw new CommandError(`${command} did not end within ${timeout} ms.`, undefined, said, {
      timedOut: true,
    });
  }
  if (result.exitCode === undefined) {
    const why =
      result.code === 'ENOENT'
        ? 'is not installed on this host'
        : `could not be run (${result.code ?? result.signal ?? 'unknown cause'})`;
    throw new CommandError(`${command} ${why}.`, undefined, result.stderr);
  }
  if (!(options.expect ?? [0]).includes(result.exitCode)) {
    const said = result.stderr.split('\n').findLast((line) => line.trim() !== '');
    throw new CommandError(
      `${command} failed with exit code ${result.exitCode}${said === undefined ? '' : `: ${said.trim()}`}`,
      result.exitCode,
      result.stderr,
    );
  }
  return { stdout: result.stdout ?? '', stderr: result.stderr, exitCode: result.exitCode };
}
