/** The way into a machine: plain ssh over a control socket of our own, which `vagrant ssh` would not keep. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandFailure, CommandTimeout, InfrastructureError } from './errors.ts';
import { type HostCommandOptions, type HostResult, runOnHost } from './host-command.ts';

/** What a command in a machine printed, and how it ended. */
export interface ExecResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** How to run a command in a machine. */
export interface ExecOptions {
  /** Text for its standard input. */
  readonly input?: string | undefined;
  /** Milliseconds, measured outside of the machine; 60,000 unless told. */
  readonly timeout?: number | undefined;
  /** Exit codes that are no failure; `[0]` unless told, `any` for all. */
  readonly expect?: readonly number[] | 'any' | undefined;
  /** Called with each line that it prints, as it comes. */
  readonly onLine?: ((line: string) => void) | undefined;
}

/** Where a machine's ssh is, and how to get there. */
export interface SshWay {
  readonly machine: string;
  /** A file in ssh's own format that knows the machine by its name. */
  readonly configuration: string;
  /** The folder of the control sockets: a short path, for a socket's is limited to 107 bytes. */
  readonly sockets: string;
  readonly namespace: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/** One word for a POSIX shell. */
export function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** One connection to a machine, made when it is first needed and again when it was lost. */
export class SshConnection {
  readonly #way: SshWay;
  readonly #socket: string;

  constructor(way: SshWay) {
    this.#way = way;
    this.#socket = join(way.sockets, way.machine);
  }

  /**
   * Runs a command, each word as it is, without a shell's expansion.
   *
   * @throws CommandFailure, CommandTimeout, InfrastructureError
   */
  async exec(command: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const { machine } = this.#way;
    const timeout = options.timeout ?? 60_000;
    const started = Date.now();
    await this.connect(timeout);
    const left = Math.max(timeout - (Date.now() - started), 1_000);
    const words = command.map(shellQuote).join(' ');
    const result = await this.#ssh(['-o', 'ControlMaster=no', machine, '--', words], {
      timeout: left,
      input: options.input,
      onLine: options.onLine,
    });
    const { stdout, stderr, exitCode } = result;
    if (result.timedOut) throw new CommandTimeout(machine, command, timeout, stdout, stderr);
    // 255 is ssh's own, but a command may end with it too: then the connection is still there.
    if (exitCode === undefined || (exitCode === 255 && !(await this.#isConnected())))
      throw new InfrastructureError(`The connection to ${machine} was lost during ${command[0]}.`, stderr);
    const ended = { stdout, stderr, exitCode };
    const expected = options.expect ?? [0];
    if (expected !== 'any' && !expected.includes(exitCode)) throw new CommandFailure(machine, command, ended);
    return ended;
  }

  /** Copies a file or a folder of this host into the machine. */
  async upload(from: string, to: string, timeout = 120_000): Promise<void> {
    const { machine } = this.#way;
    await this.connect(timeout);
    const { exitCode, stderr } = await runOnHost(
      this.#way.namespace,
      'scp',
      ['-q', '-r', ...this.#options(), '-o', 'ControlMaster=no', from, `${machine}:${to}`],
      { timeout, signal: this.#way.signal },
    );
    if (exitCode !== 0)
      throw new InfrastructureError(`${from} could not be copied to ${machine}: ${stderr.trim()}`, stderr);
  }

  /** Waits until the machine answers, at most some milliseconds. */
  async connect(timeout: number): Promise<void> {
    const deadline = Date.now() + timeout;
    const log = `${this.#socket}.log`;
    while (!(await this.#isConnected())) {
      rmSync(this.#socket, { force: true });
      // Into the background once connected; its words go to a file, for a pipe would stay open with it.
      await this.#ssh(
        [
          ...['-f', '-N', '-M', '-E', log, '-o', 'ConnectTimeout=10', '-o', 'ControlPersist=600'],
          this.#way.machine,
        ],
        { timeout: 30_000 },
      );
      if (await this.#isConnected()) break;
      if (Date.now() > deadline) {
        const said = existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n').at(-1) : undefined;
        throw new InfrastructureError(
          `${this.#way.machine} did not answer ssh within ${timeout} ms${said ? `: ${said}` : '.'}`,
        );
      }
      await sleep(500, undefined, this.#way.signal && { signal: this.#way.signal });
    }
  }

  /** Ends the connection, if there is one. The next command makes a new one. */
  async close(): Promise<void> {
    if (existsSync(this.#socket)) await this.#ssh(['-O', 'exit', this.#way.machine], { timeout: 5_000 });
    rmSync(this.#socket, { force: true });
    rmSync(`${this.#socket}.log`, { force: true });
  }

  async #isConnected(): Promise<boolean> {
    if (!existsSync(this.#socket)) return false;
    return (await this.#ssh(['-O', 'check', this.#way.machine], { timeout: 5_000 })).exitCode === 0;
  }

  #options(): readonly string[] {
    const alive = ['-o', 'ServerAliveInterval=15', '-o', 'ServerAliveCountMax=4'];
    return [
      '-F',
      this.#way.configuration,
      '-o',
      `ControlPath=${this.#socket}`,
      '-o',
      'BatchMode=yes',
      ...alive,
    ];
  }

  #ssh(args: readonly string[], options: HostCommandOptions): Promise<HostResult> {
    return runOnHost(this.#way.namespace, 'ssh', [...this.#options(), ...args], {
      signal: this.#way.signal,
      ...options,
    });
  }
}
