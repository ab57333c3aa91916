/**
 * A host that calls the volume plugin as xapi does, with a folder and records of its own. The plugin is
 * bundled as for an installation, except that its fault points work.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CallName, Parameters, Result, Volume } from '../../src/smapi/interface.ts';
import { bundleWithFaultPoints } from './fault-point-bundle.ts';
import { CallFailed, formatRequest, readAnswer, runProcess } from './xapi.ts';

const main = bundleWithFaultPoints('volume/main.ts', 'volume');

/** One host; dispose of it to remove its files. */
export class VolumeHost {
  /** A folder for the test; the SR is in `sr` below it. */
  readonly folder = mkdtempSync(join(tmpdir(), 'volume-'));
  readonly path: string;
  readonly environment = { GFS2_SR_RUN_DIR: join(this.folder, 'run') };
  readonly uuid: string;
  readonly #undo: (() => void)[] = [];

  /** @param other a host whose SR this one has too, once it has attached it. */
  constructor(other?: VolumeHost) {
    this.path = other?.path ?? join(this.folder, 'sr');
    this.uuid = other?.uuid ?? crypto.randomUUID();
    if (other === undefined) mkdirSync(this.path);
  }

  /**
   * Runs a call as a process and reads its answer.
   *
   * @param wrapper a command that runs it, such as `unshare`.
   */
  async call<N extends CallName>(
    name: N,
    parameters: Omit<Parameters<N>, 'dbg'>,
    wrapper: readonly string[] = [],
  ): Promise<Result<N>> {
    const [command = process.execPath, ...args] = [...wrapper, process.execPath, main, name, '--json'];
    return readAnswer(
      name,
      await runProcess(command, args, formatRequest(name, parameters), this.environment),
    );
  }

  /** Runs a call as static-vdis does: its arguments by their places, no JSON on standard input. */
  async callByPlace<N extends CallName>(name: N, ...args: readonly string[]): Promise<Result<N>> {
    return readAnswer(name, await runProcess(process.execPath, [main, name, ...args], '', this.environment));
  }

  /** Runs a call that must fail, and gives its error. */
  async failure<N extends CallName>(
    name: N,
    parameters: Omit<Parameters<N>, 'dbg'>,
    wrapper: readonly string[] = [],
  ): Promise<CallFailed> {
    try {
      await this.call(name, parameters, wrapper);
    } catch (error) {
      if (error instanceof CallFailed) return error;
      throw error;
    }
    throw new Error(`${name} did not fail`);
  }

  /** Runs a call that dies by SIGKILL at a named step. */
  async die<N extends CallName>(
    fault: string,
    name: N,
    parameters: Omit<Parameters<N>, 'dbg'>,
  ): Promise<void> {
    const ended = await runProcess(
      process.execPath,
      [main, name, '--json'],
      formatRequest(name, parameters),
      {
        ...this.environment,
        GFS2_SR_FAULT: fault,
      },
    );
    if (ended.signal !== 'SIGKILL') throw new Error(`${name} did not reach ${fault}: ${ended.stdout}`);
  }

  /** Starts a call and leaves it running. */
  start<N extends CallName>(
    name: N,
    parameters: Omit<Parameters<N>, 'dbg'>,
    environment: Readonly<Record<string, string>> = {},
  ): ChildProcess {
    const child = spawn(process.execPath, [main, name, '--json'], {
      env: { ...process.env, ...this.environment, ...environment },
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(formatRequest(name, parameters));
    return child;
  }

  /** Makes an SR in `path` and attaches it; answers its handle. */
  async makeSr(configured: Readonly<Record<string, string>> = {}): Promise<string> {
    const configuration = await this.call('SR.create', {
      uuid: this.uuid,
      configuration: { provider: 'path', path: this.path, ...configured },
      name: 'an SR',
      description: 'for a test',
    });
    return await this.call('SR.attach', { configuration });
  }

  /** Attaches the SR in `path`; answers its handle. */
  async attachSr(): Promise<string> {
    const configuration = { provider: 'path', path: this.path, sr_uuid: this.uuid };
    return await this.call('SR.attach', { configuration });
  }

  /** Makes a volume. */
  async makeVolume(size = 1n << 20n, sharable = false): Promise<Volume> {
    return await this.call('Volume.create', {
      sr: this.uuid,
      name: 'a volume',
      description: '',
      size,
      sharable,
    });
  }

  /** The names of the image files. */
  images(): readonly string[] {
    return readdirSync(join(this.path, 'images')).sort();
  }

  /** Undoes something, such as a mount, when the host is disposed of. */
  defer(undo: () => void): void {
    this.#undo.push(undo);
  }

  [Symbol.dispose](): void {
    for (const undo of this.#undo.reverse()) undo();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The path of the image that a volume's URI names. */
export function imageOf(volume: Volume): string {
  return decodeURIComponent(new URL(volume.uri[0] ?? '').pathname);
}
