/**
 * Installs the plugins and programs below a folder: `node packaging/install.ts BUNDLES DESTDIR`.
 *
 * Everything is made complete in a side folder first and then renamed into place, so that a running xapi
 * never sees half a plugin. `volume/` and `datapath/` themselves are never removed: xapi watches them.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { posix } from '../src/posix/index.ts';
import { type CallName, entryName } from '../src/smapi/interface.ts';
import { type InstalledPlugin, plugins, programs } from './plugins.ts';

const root = join(import.meta.dirname, '..');
const addons = ['posix', 'iscsi_initiator', 'loop'].map((name) =>
  join(root, 'build/Release', `${name}.node`),
);

const [bundles, destination] = process.argv.slice(2);
if (bundles === undefined || destination === undefined) throw new Error('usage: install.ts BUNDLES DESTDIR');
install(bundles, destination);

function install(bundleFolder: string, destdir: string): void {
  const libexec = join(destdir, 'usr/libexec');
  mkdirSync(libexec, { recursive: true });
  const stage = mkdtempSync(join(libexec, '.gfs2-iscsi-sr-'));
  try {
    chmodSync(stage, 0o755);
    const program = join(stage, 'gfs2-iscsi-sr');
    mkdirSync(program);
    copyProgram(bundleFolder, program);
    copyRuntime(join(program, 'runtime'));
    putInPlace(program, join(libexec, 'gfs2-iscsi-sr'));
    for (const plugin of plugins) {
      const folder = join(libexec, 'xapi-storage-script', plugin.kind);
      mkdirSync(folder, { recursive: true });
      putInPlace(linkEntries(plugin, stage), join(folder, plugin.name));
    }
    mkdirSync(join(destdir, 'usr/sbin'), { recursive: true });
    for (const { name } of programs) {
      symlinkSync('../libexec/gfs2-iscsi-sr/launcher', join(stage, name));
      renameSync(join(stage, name), join(destdir, 'usr/sbin', name));
    }
    installUnits(join(destdir, 'usr/lib/systemd/system'), stage);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

/** systemd's units; a timer is started at boot, and now by who runs `systemctl daemon-reload` and starts it. */
function installUnits(folder: string, stage: string): void {
  const wants = join(folder, 'timers.target.wants');
  mkdirSync(wants, { recursive: true });
  for (const file of globSync(join(root, 'packaging/systemd/*'))) {
    const name = basename(file);
    copyFileSync(file, join(stage, name));
    renameSync(join(stage, name), join(folder, name));
    if (!name.endsWith('.timer')) continue;
    symlinkSync(`../${name}`, join(stage, name));
    renameSync(join(stage, name), join(wants, name));
  }
}

function copyProgram(bundleFolder: string, program: string): void {
  for (const file of globSync(join(bundleFolder, '*.cjs'))) copyFileSync(file, join(program, basename(file)));
  for (const addon of addons) copyFileSync(addon, join(program, basename(addon)));
  copyFileSync(join(root, 'LICENSE'), join(program, 'LICENSE'));
  copyFileSync(join(root, 'packaging/launcher'), join(program, 'launcher'));
  chmodSync(join(program, 'launcher'), 0o755);
  copyFileSync(join(root, 'build/Release/relay'), join(program, 'relay'));
}

/**
 * The private Node with its own loader and C library: an old dom0 (glibc 2.17) has none that fit a
 * current Node, and a host's update must not change what we run on.
 */
function copyRuntime(runtime: string): void {
  mkdirSync(runtime);
  const copy = (source: string, name: string): void => {
    copyFileSync(realpathSync(source), join(runtime, name));
    chmodSync(join(runtime, name), 0o755);
  };
  copy(process.execPath, 'node');
  for (const library of sharedLibraries([process.execPath, ...addons])) {
    copy(library, /^ld-linux|^ld64/.test(basename(library)) ? 'loader' : basename(library));
  }
}

/** The files that the loader maps for some binaries, without the kernel's own. */
function sharedLibraries(binaries: readonly string[]): readonly string[] {
  const lines = binaries.flatMap((binary) => execFileSync('ldd', [binary], { encoding: 'utf8' }).split('\n'));
  const missing = lines.find((line) => line.includes('not found'));
  if (missing !== undefined) throw new Error(`A library is missing on this machine: ${missing.trim()}`);
  return [...new Set(lines.flatMap((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? []))];
}

function linkEntries({ name, calls }: InstalledPlugin, stage: string): string {
  const folder = join(stage, name);
  mkdirSync(folder);
  for (const call of Object.keys(calls) as CallName[]) {
    symlinkSync('../../../gfs2-iscsi-sr/launcher', join(folder, entryName(call)));
  }
  return folder;
}

/** Puts a folder in another's place, in one step; the old one goes with the stage. */
function putInPlace(fresh: string, place: string): void {
  if (!existsSync(place)) {
    renameSync(fresh, place);
    return;
  }
  const errno = posix().exchange(fresh, place);
  if (errno !== 0) throw new Error(`${place} could not be replaced (errno ${errno})`);
}
