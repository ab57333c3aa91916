import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  CallFailed,
  entryFile,
  installedRoot,
  readAnswer,
  runProcess,
  volumePluginFolder,
} from '../support/xapi.ts';

const request = '{"dbg":"test"}';
const query = entryFile(volumePluginFolder, 'Plugin.query');
const runpy = 'import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__")';

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'launcher '));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe.each([
  ['by exec', (entry: string, args: readonly string[]) => [entry, ...args] as const],
  [
    'through runpy of Python',
    (entry: string, args: readonly string[]) => ['python3', '-c', runpy, entry, ...args] as const,
  ],
])('an entry started %s', (_how, start) => {
  const run = (entry: string, args: readonly string[], input = '') => {
    const [command, ...rest] = start(entry, args) as [string, ...string[]];
    return runProcess(command, rest, input);
  };

  it('answers with one JSON document and exit code 0', async () => {
    const ended = await run(query, ['--json'], request);
    expect(readAnswer('Plugin.query', ended).required_api_version).toBe('5.0');
    expect(ended).toMatchObject({ exitCode: 0, stderr: '' });
  });

  it('answers with the error as JSON and exit code 1', async () => {
    const ended = await run(query, ['--json'], '{');
    expect(ended.exitCode).toBe(1);
    expect(() => readAnswer('Plugin.query', ended)).toThrow(CallFailed);
  });

  it('explains itself to people, and ends a usage error with 2', async () => {
    expect(await run(query, ['-h'])).toMatchObject({ exitCode: 0, stderr: '' });
    const ended = await run(query, []);
    expect(ended).toMatchObject({ exitCode: 2, stdout: '' });
    expect(ended.stderr).toContain('the following arguments are required: dbg');
  });

  it('takes arguments as they are typed, blanks and quotes and all', async () => {
    const ended = await run(query, [`it's "odd" $HOME \\ *`, 'b']);
    expect(ended.stderr).toContain('unrecognized arguments: b');
    expect(await run(query, [`it's "odd" $HOME \\ *`])).toMatchObject({ exitCode: 0 });
  });
});

describe('an entry', () => {
  it('runs by a relative path, from its own folder, and through a link from anywhere', async () => {
    const folder = dirname(query);
    mkdirSync(join(scratch, 'other', basename(folder)), { recursive: true });
    const sameFolderName = join(scratch, 'other', basename(folder), 'Plugin.Query');
    symlinkSync(query, sameFolderName);
    for (const command of [
      `cd "$1" && ./Plugin.Query --json`,
      `cd "$1" && sh Plugin.Query --json`,
      `cd "$1/.." && "./\${1##*/}/Plugin.Query" --json`,
      `cd / && ".$1/Plugin.Query" --json`,
      `PATH="$1:$PATH" && Plugin.Query --json`,
    ]) {
      const ended = await runProcess('bash', ['-c', command, 'bash', folder], request);
      expect(readAnswer('Plugin.query', ended).plugin, command).toBe('gfs2');
    }
    symlinkSync(query, join(scratch, 'Plugin.Query'));
    symlinkSync(folder, join(scratch, "it's a link"));
    symlinkSync(folder, join(scratch, basename(folder)));
    for (const link of [
      sameFolderName,
      join(scratch, 'Plugin.Query'),
      join(scratch, "it's a link", 'Plugin.Query'),
      join(scratch, basename(folder), 'Plugin.Query'),
    ]) {
      const ended = await runProcess(link, ['--json'], request);
      expect(ended.stderr, link).toBe('');
      expect(readAnswer('Plugin.query', ended).plugin, link).toBe('gfs2');
    }
  });

  it('runs in any folder, also one that is gone or holds the files of another program', async () => {
    const folder = join(scratch, 'elsewhere');
    mkdirSync(folder);
    writeFileSync(join(folder, 'package.json'), '{ "type": ');
    for (const command of [`cd "$1" && "$2" --json`, `cd "$1" && rm -r "$1" && "$2" --json`]) {
      const ended = await runProcess('bash', ['-c', command, 'bash', folder, query], request);
      expect(readAnswer('Plugin.query', ended).plugin, command).toBe('gfs2');
    }
  });

  it('that the plugin does not have says so', async () => {
    const entry = join(dirname(query), 'SR.frobnicate');
    symlinkSync('../../../gfs2-iscsi-sr/launcher', entry);
    try {
      const ended = await runProcess(entry, ['--json'], request);
      const answer = JSON.parse(ended.stdout) as { params: string[] };
      expect([ended.exitCode, answer.params]).toEqual([1, ['Unimplemented', 'SR.frobnicate']]);
    } finally {
      rmSync(entry);
    }
  });

  it('does not depend on settings for other Node programs', async () => {
    const broken = join(scratch, 'broken.cjs');
    writeFileSync(broken, 'throw new Error("not ours")');
    for (const environment of [
      { NODE_OPTIONS: '--no-such-option' },
      { NODE_OPTIONS: `--require "${broken}"` },
      { NODE_ICU_DATA: scratch, NODE_EXTRA_CA_CERTS: broken, OPENSSL_CONF: broken },
      { LD_LIBRARY_PATH: scratch },
    ]) {
      const ended = await runProcess(query, ['--json'], request, environment);
      expect(readAnswer('Plugin.query', ended).plugin).toBe('gfs2');
      expect(ended.stderr).toBe('');
    }
  });

  it('ends with its caller when it is told to', async () => {
    const child = spawn(query, ['--json'], { stdio: ['pipe', 'pipe', 'inherit'] });
    // The call waits for its request; give it the time to be there, and no shell in between.
    const program = await poll(() =>
      childrenOf(child.pid as number).find((pid) => readlinkSync(`/proc/${pid}/exe`).endsWith('/loader')),
    );
    const ended = new Promise((resolve) => child.on('close', resolve));
    child.kill('SIGTERM');
    await ended;
    expect(() => process.kill(program, 0)).toThrow('ESRCH');
  });

  it('gives its answer on a pipe whose reader is slow', async () => {
    const ended = await runProcess('bash', ['-c', '"$1" -h | { sleep 0.3; cat; }', 'bash', query], '');
    expect(ended.stdout).toContain('usage: Plugin.Query');
  });
});

describe('bad luck while loading', () => {
  const program = () => join(scratch, 'root/usr/libexec/gfs2-iscsi-sr');
  const entry = (name: 'Plugin.query' | 'SR.probe') =>
    entryFile(volumePluginFolder, name, join(scratch, 'root'));
  beforeAll(() => cpSync(installedRoot, join(scratch, 'root'), { recursive: true, verbatimSymlinks: true }));

  let undo: (() => void) | undefined;
  afterEach(() => undo?.());
  const damage = (file: string, how: (file: string) => void) => {
    const path = join(program(), file);
    cpSync(path, `${path}.kept`);
    how(path);
    undo = () => {
      rmSync(path, { recursive: true, force: true });
      renameSync(`${path}.kept`, path);
      undo = undefined;
    };
  };

  it('works where nothing else of the project is', async () => {
    expect(relative(installedRoot, scratch).startsWith('..')).toBe(true);
    expect(
      readAnswer('Plugin.query', await runProcess(entry('Plugin.query'), ['--json'], request)).plugin,
    ).toBe('gfs2');
  });

  const faults: readonly (readonly [string, string, (file: string) => void])[] = [
    ['a missing runtime', 'runtime/node', (file) => rmSync(file)],
    ['a runtime without the right to be run', 'runtime/node', (file) => chmodSync(file, 0o644)],
    ['a truncated runtime', 'runtime/node', (file) => truncateSync(file, 1_000_000)],
    ['a runtime that is no program', 'runtime/node', (file) => writeFileSync(file, 'not a program')],
    ['a missing loader', 'runtime/loader', (file) => rmSync(file)],
    ['a missing library', 'runtime/libstdc++.so.6', (file) => writeFileSync(file, '')],
    ['a missing bundle', 'org.xen.xapi.storage.gfs2.cjs', (file) => rmSync(file)],
    ['a truncated bundle', 'org.xen.xapi.storage.gfs2.cjs', (file) => truncateSync(file, 5_000)],
  ];
  it.each(faults)('%s is an answer in the format of the wire', async (_what, file, how) => {
    damage(file, how);
    for (const args of [['--json'], ['-j']]) {
      const ended = await runProcess(entry('Plugin.query'), args, request);
      const failure = await Promise.resolve()
        .then(() => readAnswer('Plugin.query', ended))
        .catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(CallFailed);
      expect((failure as CallFailed).params).toEqual(['RuntimeUnusable', expect.stringContaining('install')]);
      expect(ended.exitCode).toBe(1);
    }
    const spoken = await runProcess(entry('Plugin.query'), ['test'], '');
    expect(spoken.exitCode).toBe(1);
    expect(spoken.stdout).toBe('');
    expect(spoken.stderr).toContain('install');
  });

  it('an addon that does not fit is an error of the calls that need it, and of no other', async () => {
    damage('iscsi_initiator.node', (file) => writeFileSync(file, 'not an addon'));
    const probe = await runProcess(
      entry('SR.probe'),
      ['--json'],
      '{"dbg":"test","configuration":{"provider":"iscsi","ips":"127.0.0.1","port":"1"}}',
    );
    expect(probe.exitCode).toBe(1);
    expect(() => readAnswer('SR.probe', probe)).toThrow(/iscsi_initiator/);
    expect(
      readAnswer('Plugin.query', await runProcess(entry('Plugin.query'), ['--json'], request)).plugin,
    ).toBe('gfs2');
  });
});

describe('the installed tree', () => {
  it('has an entry for each call that is implemented, and no other', () => {
    const listed = execFileSync(
      'find',
      [join(installedRoot, 'usr/libexec/xapi-storage-script'), '-type', 'l', '-printf', '%P\n'],
      {
        encoding: 'utf8',
      },
    );
    expect(listed).toContain(`${volumePluginFolder}/SR.probe\n`);
    expect(listed).toContain('datapath/raw+file/Datapath.attach\n');
    expect(listed).toContain('datapath/qcow2+file/Datapath.attach\n');
    expect(listed).toContain('Volume.snapshot\n');
    expect(listed).toContain('Volume.compose\n');
    expect(listed).toContain('datapath/vhd+file/Datapath.attach\n');
    expect(listed).not.toContain('Data.');
  });

  it('names no place of the machine that built it', () => {
    const bundle = readFileSync(
      join(installedRoot, 'usr/libexec/gfs2-iscsi-sr/org.xen.xapi.storage.gfs2.cjs'),
      'utf8',
    );
    expect(bundle).not.toContain(join(import.meta.dirname, '../..'));
  });
});

function childrenOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

async function poll<T>(look: () => T | undefined): Promise<T> {
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
