/** Processes that stand by for calls: a caller sees nothing of them but that it is quicker. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  type Ended,
  entryFile,
  installedRoot,
  readAnswer,
  runProcess,
  volumePluginFolder,
} from '../support/xapi.ts';

const request = '{"dbg":"test"}';

let folder: string;
let environment: Record<string, string>;
let socket: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'standby-'));
  const run = join(folder, 'run');
  mkdirSync(run);
  environment = { GFS2_SR_RUN_DIR: run, GFS2_SR_STANDBY: '' };
  socket = join(run, 'standby', basename(volumePluginFolder));
});
afterEach(async () => {
  // Without its socket's name nobody can come, and so it ends.
  const left = standbyProcess();
  rmSync(join(folder, 'run'), { recursive: true, force: true });
  if (left !== undefined) await until(() => !isAlive(left));
  rmSync(folder, { recursive: true, force: true });
});

function query(
  args: readonly string[] = ['--json'],
  input = request,
  more: Record<string, string> = {},
): Promise<Ended> {
  return runProcess(entryFile(volumePluginFolder, 'Plugin.query'), args, input, { ...environment, ...more });
}

/** The process that stands by, or has yet to begin; undefined where there is none. */
function standbyProcess(): number | undefined {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number)
    .find((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/3`) === `${socket}.lock`;
      } catch {
        return false;
      }
    });
}

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}/exe`) && /\) [^ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Has a process stand by, and answers its number. */
async function haveStandby(): Promise<number> {
  expect((await query()).exitCode).toBe(0);
  await until(() => existsSync(socket));
  return standbyProcess() as number;
}

it('takes one call each, and answers as any other process does', async () => {
  const first = await haveStandby();
  expect(readAnswer('Plugin.query', await query()).plugin).toBe('gfs2');
  await until(() => existsSync(socket));
  expect(standbyProcess()).not.toBe(first);
  await until(() => !isAlive(first));

  expect(await query(['--json'], '{')).toMatchObject({
    exitCode: 1,
    stdout: expect.stringContaining('BadRequest'),
  });
  await until(() => existsSync(socket));
  expect(await query([])).toMatchObject({
    exitCode: 2,
    stdout: '',
    stderr: expect.stringContaining('usage: Plugin.Query'),
  });
  await until(() => existsSync(socket));
  expect(await query(['-h'])).toMatchObject({ exitCode: 0, stderr: '' });
});

it('takes a request and arguments of any length', async () => {
  await haveStandby();
  const ended = await query(['--json'], `{"dbg":${' '.repeat(2_000_000)}"test"}`);
  expect(readAnswer('Plugin.query', ended).plugin).toBe('gfs2');
  await until(() => existsSync(socket));
  const words = Array.from({ length: 20 }, () => 'word '.repeat(10_000));
  expect(await query(words)).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('unrecognized arguments: word'),
  });
});

it('takes the place of no other: calls at the same time each have their own process', async () => {
  await haveStandby();
  const answers = await Promise.all(Array.from({ length: 6 }, () => query()));
  for (const ended of answers) expect(readAnswer('Plugin.query', ended).plugin).toBe('gfs2');
});

it('serves nobody who would find things otherwise', async () => {
  const standby = await haveStandby();
  const settings = join(folder, 'settings');
  writeFileSync(settings, 'required_cluster_stack = none\n');
  for (const [more, wrapper] of [
    [{ GFS2_SR_SETTINGS_FILE: settings }, []],
    [{ PATH: `${folder}:${process.env.PATH}` }, []],
    [{}, ['unshare', '--mount']],
    [{}, ['prlimit', '--nofile=512']],
    [{}, ['sh', '-c', 'umask 077; exec "$@"', 'sh']],
  ] as const) {
    const [command = '', ...args] = [...wrapper, entryFile(volumePluginFolder, 'Plugin.query'), '--json'];
    const ended = await runProcess(command, args, request, { ...environment, ...more });
    const { required_cluster_stack } = readAnswer('Plugin.query', ended);
    expect(required_cluster_stack).toEqual('GFS2_SR_SETTINGS_FILE' in more ? [] : ['corosync']);
    expect(standbyProcess()).toBe(standby);
  }
});

it('is not waited for when it does nothing', async () => {
  const standby = await haveStandby();
  process.kill(standby, 'SIGSTOP');
  expect(readAnswer('Plugin.query', await query()).plugin).toBe('gfs2');
  process.kill(standby, 'SIGKILL');
  expect(readAnswer('Plugin.query', await query()).plugin).toBe('gfs2');
});

/** Starts a call that waits for its request, and answers it with the process that has taken it. */
async function startCall(standby: number): Promise<ChildProcess> {
  const child = spawn(entryFile(volumePluginFolder, 'Plugin.query'), ['--json'], {
    env: { ...process.env, ...environment },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  await until(() => !existsSync(socket));
  expect(isAlive(standby)).toBe(true);
  return child;
}

async function textOf(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  await once(child, 'close');
  return text;
}

it('that is killed with a call is an answer in the format of the wire', async () => {
  const standby = await haveStandby();
  const child = await startCall(standby);
  process.kill(standby, 'SIGKILL');
  expect(await textOf(child)).toContain('"RuntimeUnusable","The private runtime ended with status 137');
  expect(child.exitCode).toBe(1);
});

it('ends with its caller when that is told to', async () => {
  const standby = await haveStandby();
  const child = await startCall(standby);
  child.kill('SIGTERM');
  expect(await textOf(child)).toContain('ended with status 143');
  await until(() => !isAlive(standby));
});

it('is of the version that is installed', async () => {
  const root = join(folder, 'root');
  cpSync(installedRoot, root, { recursive: true, verbatimSymlinks: true });
  const entry = entryFile(volumePluginFolder, 'Plugin.query', root);
  await runProcess(entry, ['--json'], request, environment);
  await until(() => existsSync(socket));
  const old = standbyProcess() as number;
  const bundle = join(root, 'usr/libexec/gfs2-iscsi-sr/org.xen.xapi.storage.gfs2.cjs');
  writeFileSync(bundle, 'console.log("{}")');
  utimesSync(bundle, 1, 1);
  expect(await runProcess(entry, ['--json'], request, environment)).toMatchObject({ stdout: '{}\n' });
  await until(() => !isAlive(old));
});
