/** Builds the box: Debian unpacked by mmdebstrap, as one unpartitioned filesystem with a kernel beside it. */
import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { debianSources, indexTargetsFormat, transportOptions } from './apt-sources.ts';
import { buildInitramfs, guestContent, machineContent } from './initramfs.ts';
import { architecture, packages, recipeHash, release, rootMebibytes } from './recipe.ts';

/** The name of the box, for Vagrant. */
export const boxName = 'gfs2-iscsi-sr';

/** A box that lies ready: a folder with the files named here. */
export interface Box {
  readonly folder: string;
  /** The hash of its recipe. */
  readonly hash: string;
  /** Of the root filesystem, qcow2. */
  readonly image: string;
  readonly kernel: string;
  readonly initramfs: string;
  /** The private ssh key of its root. */
  readonly key: string;
}

/** What a build takes and tells. */
export interface BuildOptions {
  /** A folder of the tester's: its .deb files are installed, its other files are put into /usr/local/bin. */
  readonly extraFolder?: string | undefined;
  /** Ends the build; nothing of it is left. */
  readonly signal?: AbortSignal | undefined;
  /** Called with one line for each step. */
  readonly onProgress: (line: string) => void;
}

/** A box that could not be built. */
export class BoxBuildError extends Error {
  override readonly name = 'BoxBuildError';
}

/** Where this user's boxes are kept, for all clones on the machine. */
export function boxCache(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'gfs2-iscsi-sr', 'box');
}

/**
 * The box of the current recipe; it is built when it is not in the cache.
 *
 * @throws BoxBuildError with the log's path, which is kept.
 */
export async function ensureBox(options: BuildOptions): Promise<Box> {
  const hash = recipeHash(import.meta.dirname, options.extraFolder);
  const cache = boxCache();
  const folder = join(cache, hash);
  if (!existsSync(folder)) {
    mkdirSync(cache, { recursive: true });
    removeAbandoned(cache);
    await buildInto(cache, hash, options);
  }
  return describeBox(folder, hash);
}

function describeBox(folder: string, hash: string): Box {
  return {
    folder,
    hash,
    image: join(folder, 'box.img'),
    kernel: join(folder, 'vmlinuz'),
    initramfs: join(folder, 'initrd.img'),
    key: join(folder, 'key'),
  };
}

/** Removes the work folders of builds whose process is gone. */
function removeAbandoned(cache: string): void {
  for (const name of readdirSync(cache)) {
    const pid = /\.building-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`))
      rmSync(join(cache, name), { recursive: true, force: true });
  }
}

async function buildInto(cache: string, hash: string, options: BuildOptions): Promise<void> {
  if (process.getuid?.() !== 0) throw new BoxBuildError('The box is built by root: run it through sudo.');
  const work = join(cache, `${hash}.building-${process.pid}`);
  const logFile = join(cache, `${hash}.log`);
  mkdirSync(work, { mode: 0o700 });
  const log = openSync(logFile, 'w');
  const step = stepRunner(log, options);
  const started = Date.now();
  try {
    options.onProgress(`building the box ${hash}; its log is ${logFile}`);
    await unpackDebian(work, step, options);
    await assemble(work, step);
    rmSync(join(work, 'root'), { recursive: true });
    renameSync(logFile, join(work, 'build.log'));
    publish(work, join(cache, hash));
    options.onProgress(`the box is built, after ${Math.round((Date.now() - started) / 1000)} s`);
  } catch (error) {
    if (options.signal?.aborted === true) throw new BoxBuildError('The build of the box was interrupted.');
    const why = error instanceof Error ? error.message : String(error);
    throw new BoxBuildError(
      `The box could not be built: ${why.replace(/[. ]*$/, '.')} Its log is ${logFile}.`,
    );
  } finally {
    closeSync(log);
    rmSync(work, { recursive: true, force: true });
  }
}

/** Gives a finished folder its name, unless another build of the same recipe was faster. */
function publish(work: string, folder: string): void {
  try {
    renameSync(work, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  }
}

async function unpackDebian(work: string, step: Step, options: BuildOptions): Promise<void> {
  const targets = await step.read('apt-get', ['indextargets', '--format', indexTargetsFormat]);
  const sources = debianSources(targets, release);
  if (sources.length === 0)
    throw new BoxBuildError(
      `None of this machine's apt sources is Debian ${release}: add one, and run apt-get update.`,
    );
  await step('a key for ssh', 'ssh-keygen', [
    ...['-q', '-t', 'ed25519', '-N', '', '-C', 'lab', '-f', join(work, 'key')],
  ]);
  writeFileSync(join(work, 'sources.list'), `${sources.join('\n')}\n`);
  const customize = [join(import.meta.dirname, 'customize.sh'), '"$1"', quote(join(work, 'key.pub'))];
  if (options.extraFolder !== undefined) customize.push(quote(options.extraFolder));
  const transport = transportOptions(await step.read('apt-config', ['dump', '--no-empty', 'Acquire']));
  // Mounts and processes of its own, so that nothing outlives a build that is killed.
  await step('Debian packages', 'setpriv', [
    ...['--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child=KILL', '--mount-proc'],
    ...[
      'nice',
      '-n',
      '10',
      'env',
      `TMPDIR=${work}`,
      'mmdebstrap',
      '--verbose',
      '--mode=root',
      '--variant=minbase',
      '--format=directory',
    ],
    ...[`--architectures=${architecture}`, `--include=${packages.join(',')}`],
    ...transport.map((option) => `--aptopt=${option}`),
    '--aptopt=APT::Install-Recommends "false"',
    '--dpkgopt=force-unsafe-io',
    ...['doc', 'man', 'locale', 'info'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
    `--customize-hook=${customize.join(' ')}`,
    ...[release, join(work, 'root'), join(work, 'sources.list')],
  ]);
  rmSync(join(work, 'sources.list'));
}

async function assemble(work: string, step: Step): Promise<void> {
  const root = join(work, 'root');
  const kernel = readdirSync(join(root, 'lib/modules'))[0];
  if (kernel === undefined) throw new BoxBuildError('No kernel was installed.');
  await step('the kernel', 'cp', [join(root, `boot/vmlinuz-${kernel}`), join(work, 'vmlinuz')]);
  const tree = join(work, 'initramfs');
  await buildInitramfs(root, kernel, machineContent, tree, join(work, 'initrd.img'), step);
  // Of guests that a machine runs which was started with the hypervisor.
  mkdirSync(join(root, 'usr/lib/lab'));
  await buildInitramfs(root, kernel, guestContent, tree, join(root, 'usr/lib/lab/guest.img'), step);
  // QEMU takes no packed one.
  await step('the hypervisor', 'sh', [
    '-c',
    'gzip -cd "$1"/boot/xen-*.gz >"$2"',
    'unpack',
    root,
    join(work, 'xen.elf'),
  ]);
  const raw = join(work, 'root.raw');
  // Machines lose their power in the lab, and nobody looks their filesystems over when they start anew.
  await step('the root filesystem', 'nice', [
    ...[
      '-n',
      '10',
      'mke2fs',
      '-q',
      '-t',
      'ext4',
      '-O',
      '^metadata_csum,^64bit',
      '-J',
      'size=16',
      '-L',
      'root',
    ],
    ...['-E', 'lazy_itable_init=1', '-d', root, raw, `${rootMebibytes}M`],
  ]);
  await step('the image', 'nice', [
    ...['-n', '10', 'qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, join(work, 'box.img')],
  ]);
  rmSync(raw);
  rmSync(join(work, 'key.pub'));
  writeFileSync(
    join(work, 'metadata.json'),
    `${JSON.stringify({ provider: 'libvirt', format: 'qcow2', virtual_size: rootMebibytes / 1024 })}\n`,
  );
  writeFileSync(join(work, 'Vagrantfile'), readFileSync(join(import.meta.dirname, 'Vagrantfile.box')));
}

/** Runs one command of a build into its log. */
export interface Step {
  (what: string, command: string, args: readonly string[]): Promise<void>;
  /** Runs a command for what it prints. */
  read(command: string, args: readonly string[]): Promise<string>;
}

function stepRunner(log: number, { onProgress, signal }: BuildOptions): Step {
  const run = (
    what: string,
    command: string,
    args: readonly string[],
    onLine: (line: string, stream: 'stdout' | 'stderr') => void,
  ): Promise<void> => {
    signal?.throwIfAborted();
    writeSync(log, `$ ${[command, ...args].join(' ')}\n`);
    return new Promise((resolve, reject) => {
      let last = '';
      // apt and mmdebstrap name the cause first, and end with what failed on account of it.
      let cause: string | undefined;
      const toLog = (line: string): void => {
        writeSync(log, `${line}\n`);
        if (line.trim() !== '') last = line.trim();
        if (line.startsWith('E: ')) cause ??= line.slice(3).trim();
      };
      const child = spawn(command, args, {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive', INITRD: 'No' },
        // A terminal's Ctrl-C is ours to handle.
        detached: true,
        signal,
        killSignal: 'SIGKILL',
      });
      createInterface({ input: child.stdout }).on('line', (line) => {
        toLog(line);
        onLine(line, 'stdout');
      });
      createInterface({ input: child.stderr }).on('line', (line) => {
        toLog(line);
        onLine(line, 'stderr');
      });
      child.on('error', reject);
      child.on('close', (code, killer) => {
        if (code === 0) resolve();
        else reject(new BoxBuildError(`${what} failed (${code ?? killer}): ${cause ?? last}`));
      });
    });
  };
  const step = async (what: string, command: string, args: readonly string[]): Promise<void> => {
    const started = Date.now();
    let told = started;
    let unpacked = 0;
    let configured = 0;
    onProgress(`${what} …`);
    await run(what, command, args, (line) => {
      if (line.startsWith('Unpacking ')) unpacked += 1;
      if (line.startsWith('Setting up ')) configured += 1;
      if (unpacked === 0 || Date.now() - told < 10_000) return;
      told = Date.now();
      onProgress(`${what}: ${unpacked} unpacked, ${configured} set up`);
    });
    onProgress(`${what}: done after ${((Date.now() - started) / 1000).toFixed(1)} s`);
  };
  const read = async (command: string, args: readonly string[]): Promise<string> => {
    const lines: string[] = [];
    await run(command, command, args, (line, stream) => {
      if (stream === 'stdout') lines.push(line);
    });
    return lines.join('\n');
  };
  return Object.assign(step, { read });
}

/** A word for a shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
