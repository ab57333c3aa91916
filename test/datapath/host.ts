/** A host that calls a datapath plugin's sources as xapi does, with records of its own. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { type CallName, entryName, type Parameters, type Result } from '../../src/smapi/interface.ts';
import { CallFailed, type Ended, formatRequest, readAnswer, runProcess } from '../support/xapi.ts';

/** How to start the plugin. */
export interface CallOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** A command that runs the plugin, such as `unshare`. */
  readonly wrapper?: readonly string[];
}

/** One host: its state of this boot lies in a folder of its own. */
export class Host {
  readonly run: string;
  readonly #main: string;

  /** @param scheme the plugin's: `raw+file` or `qcow2+file`. */
  constructor(run: string, scheme = 'raw+file') {
    this.run = run;
    this.#main = join(import.meta.dirname, '../../datapath', scheme, 'main.ts');
  }

  /** Runs a call as a process. */
  start<N extends CallName>(
    name: N,
    parameters: Omit<Parameters<N>, 'dbg'>,
    { environment = {}, wrapper = [] }: CallOptions = {},
  ): Promise<Ended> {
    const [command = process.execPath, ...args] = [
      ...wrapper,
      process.execPath,
      this.#main,
      entryName(name),
      '--json',
    ];
    return runProcess(command, args, formatRequest(name, parameters), {
      GFS2_SR_RUN_DIR: this.run,
      ...environment,
    });
  }

  /** Runs a call and reads its answer. */
  async call<N extends CallName>(
    name: N,
    parameters: Omit<Parameters<N>, 'dbg'>,
    options?: CallOptions,
  ): Promise<Result<N>> {
    return readAnswer(name, await this.start(name, parameters, options));
  }

  /** Runs a call that must fail, and gives its error. */
  async failure<N extends CallName>(
    name: N,
    parameters: Omit<Parameters<N>, 'dbg'>,
    options?: CallOptions,
  ): Promise<CallFailed> {
    const answer = await this.call(name, parameters, options).catch((error: unknown) => error);
    if (!(answer instanceof CallFailed)) throw new Error(`${name} did not fail: ${String(answer)}`);
    return answer;
  }

  /** The path of the disk's block device, as attach says. */
  async device(uri: string, domain = '1'): Promise<string> {
    const { implementations } = await this.call('Datapath.attach', { uri, domain });
    const found = implementations.find((each) => each[0] === 'BlockDevice');
    if (found?.[0] !== 'BlockDevice') throw new Error('attach gave no BlockDevice');
    return found[1].path;
  }

  /** The disk's NBD server, as attach says; QEMU's tools take it for a name of a file. */
  async socket(uri: string, domain = '1'): Promise<string> {
    const { implementations } = await this.call('Datapath.attach', { uri, domain });
    const found = implementations.find((each) => each[0] === 'Nbd');
    if (found?.[0] !== 'Nbd') throw new Error('attach gave no Nbd');
    return found[1].uri;
  }
}

/** The loop devices behind files below a folder. */
export function loopsBelow(folder: string): readonly string[] {
  const all = execFileSync('losetup', ['--list', '--noheadings', '--raw', '--output', 'NAME,BACK-FILE'], {
    encoding: 'utf8',
  });
  return all
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, file]) => file?.startsWith(`${folder}/`))
    .map(([name]) => name as string);
}

/** The processes of QEMU's that serve a disk of a host whose records are below a folder. */
export function diskProcesses(folder: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number)
    .filter((pid) => commandLine(pid).includes(`path=${folder}/`));
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** A test's folder. */
export interface Folder {
  path: string;
  /** Undoes something, such as a mount, before the folder is removed; the last one first. */
  readonly undo: (() => void)[];
}

/** Gives every test a folder, and sees to it that a test leaves no loop device or process of a disk in it. */
export function useFolder(): Folder {
  const folder: Folder = { path: '', undo: [] };
  beforeEach(() => {
    folder.path = mkdtempSync(join(tmpdir(), 'datapath-'));
  });
  afterEach(() => {
    for (const undo of folder.undo.splice(0).reverse()) undo();
    const left = loopsBelow(folder.path);
    for (const loop of left) execFileSync('losetup', ['--detach', loop]);
    const running = diskProcesses(folder.path);
    for (const pid of running) process.kill(pid, 'SIGKILL');
    rmSync(folder.path, { recursive: true, force: true });
    expect([...left, ...running]).toEqual([]);
  });
  return folder;
}

/** Whether another process can have an image for itself now. */
export function isFree(image: string): boolean {
  try {
    execFileSync('flock', ['--exclusive', '--nonblock', image, 'true']);
    return true;
  } catch {
    return false;
  }
}

/** The loop device's attribute, from sysfs. */
export function loopAttribute(device: string, attribute: string): string {
  return readFileSync(`/sys/block/${device.replace('/dev/', '')}/${attribute}`, 'utf8').trim();
}
