/** SRs broken in many ways: what a check tells, and that a repair leaves every volume with its data. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, vi } from 'vitest';
import { posix } from '../../src/posix/index.ts';
import type { Volume } from '../../src/smapi/interface.ts';
import { repairFaultPoints } from '../../volume/check/fault-points.ts';
import { collectGarbage, dieCollecting } from '../gc/collector.ts';
import { gfs2Sr } from '../support/command-line.ts';
import { checkConsistent } from '../support/consistency.ts';
import { fill, runs } from '../support/disk.ts';
import { imageOf, VolumeHost } from '../support/volume-host.ts';
import type { Ended } from '../support/xapi.ts';

// Many processes each: more than the rest of the tests need.
vi.setConfig({ testTimeout: 300_000 });

const size = 1n << 20n;

const check = (host: VolumeHost): Promise<Ended> => gfs2Sr(['sr', 'check', host.uuid], host.environment);
const repair = (host: VolumeHost, ...flags: readonly string[]): Promise<Ended> =>
  gfs2Sr(['sr', 'repair', host.uuid, ...flags], host.environment);
const catalogOf = (host: VolumeHost): string => join(host.path, 'catalog.sqlite');

function edit(host: VolumeHost, sql: string): void {
  const database = new DatabaseSync(catalogOf(host));
  database.exec(`PRAGMA journal_mode = PERSIST; PRAGMA foreign_keys = OFF; ${sql}`);
  database.close();
}

/** Makes the last backup an old one, so that the next change makes another. */
function age(host: VolumeHost): void {
  const then = new Date(Date.now() - 7_200_000);
  utimesSync(join(host.path, 'backups'), then, then);
}

/** All files of an SR, but for locks, and what they are. */
function snapshotOf(host: VolumeHost): readonly string[] {
  const list = (folder: string): readonly string[] =>
    readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return list(path);
      const { mode, size: bytes, mtimeMs, ino } = statSync(path);
      return [`${path} ${mode} ${bytes} ${mtimeMs} ${ino}`];
    });
  return list(host.path).toSorted();
}

/** What xapi knows of a volume, and its data. */
type Known = Readonly<Record<string, unknown>>;

async function known(host: VolumeHost): Promise<ReadonlyMap<string, Known>> {
  const volumes = await host.call('SR.ls', { sr: host.uuid });
  return new Map(
    volumes.map((volume) => [
      volume.key,
      {
        name: volume.name,
        read_write: volume.read_write,
        virtual_size: volume.virtual_size,
        keys: volume.keys,
        data: runs(volume),
      },
    ]),
  );
}

interface Tree {
  readonly host: VolumeHost;
  /** Everything before what comes after the backup. */
  readonly volume: Volume;
  readonly snapshot: Volume;
  readonly clone: Volume;
  readonly raw: Volume;
}

/** An SR with a tree of images, which a backup knows, and more that it does not know. */
async function makeTree(more = true): Promise<Tree> {
  const host = new VolumeHost();
  const sr = await host.makeSr({ 'image-format': 'qcow2' });
  const { key } = await host.makeVolume(size);
  await host.call('Volume.set_name', { sr, key, new_name: 'root disk' });
  fill(await host.call('Volume.stat', { sr, key }), 1, 0, 65_536);
  const snapshot = await host.call('Volume.snapshot', { sr, key });
  fill(await host.call('Volume.stat', { sr, key }), 2, 0, 4096);
  const clone = await host.call('Volume.clone', { sr, key: snapshot.key });
  fill(clone, 3, 4096, 4096);
  const raw = await host.makeVolume(size, true);
  fill(raw, 4, 0, 4096);
  await host.call('Volume.set', { sr, key, k: 'a', v: 'b' });
  age(host);
  await host.call('Volume.set', { sr, key: raw.key, k: 'vdi-type', v: 'ha_statefile' });
  if (more) {
    await host.call('Volume.snapshot', { sr, key });
    fill(await host.call('Volume.stat', { sr, key }), 5, 8192, 4096);
    const late = await host.call('Volume.clone', { sr, key: clone.key });
    fill(late, 6, 65_536, 4096);
    fill(await host.makeVolume(size), 7, 0, 65_536);
    await host.call('Volume.revert', { sr, key: late.key, snapshot: snapshot.key });
    fill(await host.call('Volume.stat', { sr, key: late.key }), 8, 0, 512);
  }
  return { host, volume: await host.call('Volume.stat', { sr, key }), snapshot, clone, raw };
}

describe('an SR that is in order', () => {
  it('is said to be, and neither a check nor a repair changes a file', async () => {
    const { host } = await makeTree();
    using _ = host;
    const before = snapshotOf(host);
    for (const ended of [await check(host), await repair(host), await repair(host, '--dry-run')]) {
      expect([ended.exitCode, ended.stdout, ended.stderr]).toEqual([0, 'The SR is in order.\n', '']);
    }
    expect(snapshotOf(host)).toEqual(before);
    expect((await repair(host, '--yes')).stdout).toBe('The SR is in order.\n');
  });

  it('must be attached, and named by its uuid', async () => {
    using host = new VolumeHost();
    const unknown = await check(host);
    expect([unknown.exitCode, unknown.stderr]).toEqual([
      1,
      `gfs2-sr sr check: The SR "${host.uuid}" is not attached on this host; attach it first (xe pbd-plug).\n`,
    ]);
    expect((await gfs2Sr(['sr', 'repair', '--yes'], host.environment)).exitCode).toBe(2);
    expect((await repair(host, '--yes', '--dry-run')).exitCode).toBe(2);
  });
});

/** What makes a catalog unusable. */
const damages: readonly (readonly [string, (host: VolumeHost) => void])[] = [
  ['deleted', (host) => rmSync(catalogOf(host))],
  ['empty', (host) => truncateSync(catalogOf(host), 0)],
  ['cut', (host) => truncateSync(catalogOf(host), 20_000)],
  ['of garbage', (host) => writeFileSync(catalogOf(host), 'garbage '.repeat(10_000))],
  ['with its first page zeroed', (host) => zero(host, 0)],
  ...[1, 2, 3, 4, 5, 6, 7, 8].map(
    (page) => [`with its page ${page + 1} zeroed`, (host: VolumeHost) => zero(host, page)] as const,
  ),
  [
    'of another kind',
    (host) => {
      rmSync(catalogOf(host));
      const database = new DatabaseSync(catalogOf(host));
      database.exec('CREATE TABLE a (b)');
      database.close();
    },
  ],
];

function zero(host: VolumeHost, page: number): void {
  const fd = openSync(catalogOf(host), 'r+');
  writeSync(fd, new Uint8Array(4096), 0, 4096, page * 4096);
  closeSync(fd);
}

describe.each(damages)('a catalog that is %s', (_, damage) => {
  it('is told, and made anew from a backup and the images, with all volumes and their data', async () => {
    const { host } = await makeTree();
    using _ = host;
    const sr = host.uuid;
    const before = await known(host);
    damage(host);
    const broken = snapshotOf(host);
    const told = await check(host);
    expect(told.exitCode).toBe(1);
    expect(told.stdout).toMatch(
      /^The catalog in .* cannot be used \(.*\); repair makes it anew from the backup .*, and keeps the damaged one aside\.\n/,
    );
    const shown = await repair(host);
    expect([shown.exitCode, shown.stdout]).toEqual([
      0,
      `${told.stdout}Nothing was done. With --yes, what is said above is.\n`,
    ]);
    expect(snapshotOf(host)).toEqual(broken);

    const done = await repair(host, '--yes');
    expect([done.stderr, done.exitCode]).toEqual(['', 0]);
    expect(done.stdout).toContain('The SR is in order now.\n');
    checkConsistent(host);
    const after = await known(host);
    // Names and keys that only the damaged catalog knew may be lost, and no volume and no data is.
    for (const [key, { read_write, virtual_size, data }] of before) {
      expect(after.get(key), key).toMatchObject({ read_write, virtual_size, data });
    }
    expect(after.size).toBe(before.size);
    // All calls work on it.
    for (const key of after.keys()) await host.call('Volume.destroy', { sr, key });
    expect(host.images()).toEqual([]);
  });
});

describe('a damaged catalog', () => {
  it('gives names and keys that can still be read in it to volumes that no backup has', async () => {
    const { host } = await makeTree();
    using _ = host;
    const sr = host.uuid;
    const late = await host.makeVolume(size);
    await host.call('Volume.set_name', { sr, key: late.key, new_name: 'später' });
    await host.call('Volume.set', { sr, key: late.key, k: 'c', v: 'd' });
    const before = await known(host);
    // The index by parents is in none of the pages that hold rows.
    const database = new DatabaseSync(catalogOf(host), { readOnly: true });
    const page = database.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'images_by_parent'").get();
    database.close();
    zero(host, Number(page?.rootpage) - 1);
    expect((await repair(host, '--yes')).exitCode).toBe(0);
    checkConsistent(host);
    expect(await known(host)).toEqual(before);
  });

  it('is restored from an older backup where newer ones are damaged too, and they go aside', async () => {
    const { host } = await makeTree();
    using _ = host;
    age(host);
    await host.makeVolume(size);
    const before = await known(host);
    const backups = readdirSync(join(host.path, 'backups')).sort();
    expect(backups).toHaveLength(3);
    truncateSync(join(host.path, 'backups', backups.at(-1) ?? ''), 10_000);
    writeFileSync(catalogOf(host), '');
    expect((await repair(host, '--yes')).exitCode).toBe(0);
    const after = await known(host);
    expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
    expect(readdirSync(join(host.path, 'aside'))).toContain(`backup-${backups.at(-1)}`);
    checkConsistent(host);
  });

  it('is made anew from the images alone where there is no backup', async () => {
    const { host } = await makeTree();
    using _ = host;
    const before = await known(host);
    for (const name of readdirSync(join(host.path, 'backups'))) rmSync(join(host.path, 'backups', name));
    rmSync(catalogOf(host));
    expect((await repair(host, '--yes')).exitCode).toBe(0);
    const after = await known(host);
    for (const [key, { read_write, data }] of before) {
      expect(after.get(key), key).toMatchObject({ read_write, data });
    }
    checkConsistent(host);
    expect((await host.call('SR.stat', { sr: host.uuid })).name).toBe('an SR');
  });

  it('never brings back what was removed, nor removes what a backup held for unfinished', async () => {
    const { host, volume } = await makeTree(false);
    using _ = host;
    const sr = host.uuid;
    // A backup of the midst of a copy, as another host's call may make it.
    const copied = await host.call('Volume.copy', { sr, key: volume.key, dest_sr: sr });
    edit(host, `INSERT INTO intents VALUES ('${basename(imageOf(copied), '.qcow2')}', 'qcow2', 1)`);
    edit(
      host,
      `DELETE FROM volumes WHERE key = '${copied.key}'; DELETE FROM images WHERE uuid NOT IN (SELECT image FROM volumes) AND uuid NOT IN (SELECT parent FROM images WHERE parent IS NOT NULL)`,
    );
    const [newest = ''] = readdirSync(join(host.path, 'backups')).sort().reverse();
    copyFileSync(catalogOf(host), join(host.path, 'backups', newest));
    const data = runs(copied);
    rmSync(catalogOf(host));
    expect((await repair(host, '--yes')).exitCode).toBe(0);
    expect(runs(await host.call('Volume.stat', { sr, key: copied.key }))).toBe(data);
    checkConsistent(host);
  });

  it.each([
    ['qcow2', 'merge.written'],
    ['qcow2', undefined],
    ['raw', 'merge.written'],
    ['raw', undefined],
  ] as const)(
    'whose backup is of before a merge, on a root of %s that ended at %s, does not bring back what was merged',
    async (format, fault) => {
      using host = new VolumeHost();
      const sr = await host.makeSr({ 'image-format': format });
      const { key } = await host.makeVolume(size);
      fill(await host.call('Volume.stat', { sr, key }), 1, 0, 65_536);
      const snapshot = await host.call('Volume.snapshot', { sr, key });
      fill(await host.call('Volume.stat', { sr, key }), 2, 0, 4096);
      age(host);
      await host.call('Volume.set', { sr, key, k: 'a', v: 'b' });
      await host.call('Volume.destroy', { sr, key: snapshot.key });
      const before = await known(host);
      if (fault === undefined) await collectGarbage(host);
      else await dieCollecting(host, fault);
      rmSync(catalogOf(host));
      const repaired = await repair(host, '--yes');
      expect([repaired.exitCode, repaired.stderr]).toEqual([0, '']);
      checkConsistent(host);
      expect(await known(host)).toEqual(before);
      await collectGarbage(host);
      expect(host.images()).toHaveLength(1);
      expect(await known(host)).toEqual(before);
    },
  );

  it('keeps the snapshot that was taken of what a merge had begun with', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': 'qcow2' });
    const { key } = await host.makeVolume(size);
    fill(await host.call('Volume.stat', { sr, key }), 1, 0, 65_536);
    const passing = await host.call('Volume.snapshot', { sr, key });
    await host.call('Volume.destroy', { sr, key: passing.key });
    await dieCollecting(host, 'merge.written');
    // The volume is as it was then, so that the snapshot gets that image.
    await host.call('Volume.snapshot', { sr, key });
    age(host);
    await host.call('Volume.set', { sr, key, k: 'a', v: 'b' });
    const before = await known(host);
    rmSync(catalogOf(host));
    expect((await repair(host, '--yes')).exitCode).toBe(0);
    expect(await known(host)).toEqual(before);
    checkConsistent(host);
  });

  it('is repaired also where the volumes of its images have no labels: data stays, under names that say so', async () => {
    const { host, volume } = await makeTree(false);
    using _ = host;
    const sr = host.uuid;
    const snapshot = await host.call('Volume.snapshot', { sr, key: volume.key });
    fill(await host.call('Volume.stat', { sr, key: volume.key }), 9, 0, 512);
    const lone = await host.makeVolume(size);
    fill(lone, 10, 0, 512);
    const before = await known(host);
    for (const name of host.images()) {
      const fd = openSync(join(host.path, 'images', name), 'r');
      posix().setXattr(fd, 'user.gfs2-sr.volume', '');
      closeSync(fd);
    }
    rmSync(catalogOf(host));
    expect((await repair(host, '--yes')).exitCode).toBe(0);
    checkConsistent(host);
    const after = await known(host);
    expect(after.get(volume.key)).toEqual(before.get(volume.key));
    const recovered = [...after.values()].filter(({ name }) => String(name).startsWith('Recovered '));
    expect(recovered.map(({ data }) => data).sort()).toEqual(
      [before.get(snapshot.key)?.data, before.get(lone.key)?.data].sort(),
    );
    expect(recovered.map(({ name }) => name)).toContainEqual(expect.stringMatching(/ of root disk$/));
  });

  it('of a later version is left alone', async () => {
    const { host } = await makeTree(false);
    using _ = host;
    edit(host, 'PRAGMA user_version = 99');
    const before = readFileSync(catalogOf(host));
    for (const { exitCode, stderr } of [await check(host), await repair(host, '--yes')]) {
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(/update the plugin on this host/);
    }
    expect(readFileSync(catalogOf(host))).toEqual(before);
  });

  it('with a hot journal is no damage: it is rolled back', async () => {
    const { host } = await makeTree(false);
    using _ = host;
    const before = await known(host);
    // A writer that dies with its change in the file and the journal hot.
    const script = `
      const { DatabaseSync } = require('node:sqlite');
      const database = new DatabaseSync(process.argv[1]);
      database.exec("PRAGMA journal_mode = PERSIST; PRAGMA cache_size = 1; BEGIN; CREATE TABLE filler (a); DELETE FROM keys; UPDATE volumes SET name = hex(randomblob(9000))");
      process.kill(process.pid, 'SIGKILL');`;
    const child = spawn(process.execPath, ['-e', script, catalogOf(host)]);
    await once(child, 'close');
    expect(readFileSync(`${catalogOf(host)}-journal`)[0]).not.toBe(0);
    const broken = snapshotOf(host);
    const told = await check(host);
    expect([told.stdout, told.exitCode]).toEqual(['The SR is in order.\n', 0]);
    expect(snapshotOf(host)).toEqual(broken);
    expect((await repair(host, '--yes')).stdout).toBe('The SR is in order.\n');
    expect(await known(host)).toEqual(before);
  });

  it("whose journal is another's is not rolled back into the new one", async () => {
    const { host } = await makeTree();
    using _ = host;
    const before = await known(host);
    // Hot, and of pages that a rollback would overwrite.
    const journal = `${catalogOf(host)}-journal`;
    const script = `
      const { DatabaseSync } = require('node:sqlite');
      const database = new DatabaseSync(process.argv[1]);
      database.exec("PRAGMA journal_mode = PERSIST; PRAGMA cache_size = 1; BEGIN; UPDATE volumes SET name = hex(randomblob(9000))");
      process.kill(process.pid, 'SIGKILL');`;
    await once(spawn(process.execPath, ['-e', script, catalogOf(host)]), 'close');
    expect(readFileSync(journal)[0]).not.toBe(0);
    writeFileSync(catalogOf(host), 'x'.repeat(50_000));
    for (const fault of ['repair.kept', 'repair.journal', 'repair.catalog']) {
      const died = await gfs2Sr(['sr', 'repair', host.uuid, '--yes'], {
        ...host.environment,
        GFS2_SR_FAULT: fault,
      });
      expect(died.signal ?? died.stdout).toBe('SIGKILL');
      if (fault === 'repair.catalog') break;
    }
    expect((await repair(host, '--yes')).exitCode).toBe(0);
    checkConsistent(host);
    expect([...(await known(host)).keys()].sort()).toEqual([...before.keys()].sort());
  });
});

const uuidOf = (volume: Volume): string => basename(imageOf(volume)).replace(/\..*$/, '');

/** Something wrong on an SR whose catalog can be read. */
interface Fault {
  readonly name: string;
  readonly make: (tree: Tree) => void;
  /** What a check says, among what else comes of it. */
  readonly tells: RegExp;
}

const faults: readonly Fault[] = [
  {
    name: 'a frozen image that can be written',
    make: ({ snapshot }) => chmodSync(imageOf(snapshot), 0o600),
    tells: /^The image .*\.qcow2 has the mode 600, and is frozen; repair sets its mode to 400\.$/m,
  },
  {
    name: "a volume's image that cannot be written",
    make: ({ clone }) => chmodSync(imageOf(clone), 0o400),
    tells: /has the mode 400, and is one that may be written; repair sets its mode to 600\.$/m,
  },
  {
    name: 'an image that others may read',
    make: ({ raw }) => chmodSync(imageOf(raw), 0o644),
    tells: /has the mode 644, .*; repair sets its mode to 600\.$/m,
  },
  {
    name: 'a size in the catalog that is too small',
    make: ({ host, volume }) =>
      edit(host, `UPDATE images SET virtual_size = 4096 WHERE uuid = '${uuidOf(volume)}'`),
    tells: /has 1048576 bytes, and 4096 in the catalog; repair puts 1048576 into the catalog\.$/m,
  },
  {
    name: 'a raw image that was cut',
    make: ({ raw }) => truncateSync(imageOf(raw), 524_288),
    tells: /\.raw has 524288 bytes, and 1048576 in the catalog; repair grows it to 1048576, /m,
  },
  {
    name: 'a qcow2 header with a smaller size',
    make: ({ clone }) => patch(imageOf(clone), 24, 524_288n),
    tells: /\.qcow2 has 524288 bytes, and 1048576 in the catalog; repair grows it to 1048576, /m,
  },
  {
    name: 'a header that names a file from elsewhere',
    make: ({ clone }) =>
      execFileSync('qemu-img', [
        'rebase',
        '-u',
        '-f',
        'qcow2',
        '-b',
        '/etc/passwd',
        '-F',
        'raw',
        imageOf(clone),
      ]),
    tells: /names the parent "\/etc\/passwd", and the catalog .*; repair names .*\.qcow2 in the image\.$/m,
  },
  {
    name: 'a header that names no parent',
    make: ({ clone }) => execFileSync('qemu-img', ['rebase', '-u', '-f', 'qcow2', '-b', '', imageOf(clone)]),
    tells: /names no parent, and the catalog .*; repair names .*\.qcow2 in the image\.$/m,
  },
  {
    name: 'a parent in the catalog that makes a ring',
    make: ({ host, snapshot, clone }) =>
      edit(host, `UPDATE images SET parent = '${uuidOf(clone)}' WHERE uuid = '${uuidOf(snapshot)}'`),
    tells: /names no parent, and the catalog .*; repair puts what the image says into the catalog\.$/m,
  },
  {
    name: 'a row of an image that is gone from the catalog',
    make: ({ host, snapshot }) => edit(host, `DELETE FROM images WHERE uuid = '${uuidOf(snapshot)}'`),
    tells: /^The image .* of the volume "root disk" .* is not in the catalog; repair puts it there\.$/m,
  },
  {
    name: 'keys of no volume',
    make: ({ host }) => edit(host, "INSERT INTO keys VALUES ('nobody', 'a', 'b')"),
    tells: /^The catalog has keys of the volume nobody, which is none; repair removes them\.$/m,
  },
  {
    name: 'a file that is no image among the images',
    make: ({ host }) => writeFileSync(join(host.path, 'images', 'notes.txt'), 'mine'),
    tells: /^In the folder of images is "notes.txt", which is no image; repair keeps it aside\.$/m,
  },
  {
    name: "a link of an image's name",
    make: ({ host }) => symlinkSync('/etc/passwd', join(host.path, 'images', `${crypto.randomUUID()}.raw`)),
    tells: /, which is no image; repair keeps it aside\.$/m,
  },
  {
    name: 'an image of garbage that nobody knows',
    make: ({ host }) =>
      writeFileSync(join(host.path, 'images', `${crypto.randomUUID()}.qcow2`), 'x'.repeat(9000)),
    tells: /is not in the catalog, and cannot be used .*; repair keeps it aside\.$/m,
  },
  {
    name: 'a second file of an image, of another format',
    make: ({ clone }) => writeFileSync(imageOf(clone).replace(/qcow2$/, 'raw'), 'x'.repeat(4096)),
    tells: /^Of the image .* there is a second file, .*\.raw; repair keeps it aside\.$/m,
  },
  {
    name: 'leaked clusters',
    make: ({ clone }) => leak(imageOf(clone)),
    tells: /^The image .* has \d+ clusters that nothing refers to; repair frees them\.$/m,
  },
  {
    name: 'a wrong format in the catalog',
    make: ({ host, clone }) => edit(host, `UPDATE images SET format = 'raw' WHERE uuid = '${uuidOf(clone)}'`),
    tells: /is raw in the catalog, and its file is .*\.qcow2; repair puts qcow2 into the catalog\.$/m,
  },
];

function patch(file: string, offset: number, value: bigint): void {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  const fd = openSync(file, 'r+');
  writeSync(fd, bytes, 0, 8, offset);
  closeSync(fd);
}

/** Clusters that are counted, and that no table refers to: those of a snapshot of the image's own, without its table. */
function leak(file: string): void {
  execFileSync('qemu-img', ['snapshot', '-c', 'x', file]);
  const fd = openSync(file, 'r+');
  // nb_snapshots and snapshots_offset of the header.
  writeSync(fd, new Uint8Array(12), 0, 12, 60);
  closeSync(fd);
}

describe.each(faults)('$name', ({ make, tells }) => {
  it('is told in one sentence, and mended with all volumes and their data', async () => {
    const tree = await makeTree(false);
    const { host } = tree;
    using _ = host;
    const before = await known(host);
    make(tree);
    const broken = snapshotOf(host);
    const told = await check(host);
    expect(told.exitCode).toBe(1);
    expect(told.stdout).toMatch(tells);
    expect((await repair(host)).stdout).toMatch(tells);
    expect(snapshotOf(host)).toEqual(broken);
    const done = await repair(host, '--yes');
    expect([done.stderr, done.exitCode]).toEqual(['', 0]);
    expect(await known(host)).toEqual(before);
    checkConsistent(host);
  });

  it('is mended also by a repair that comes after others were killed at every step', async () => {
    const tree = await makeTree(false);
    const { host } = tree;
    using _ = host;
    const before = await known(host);
    make(tree);
    for (const fault of repairFaultPoints) {
      await gfs2Sr(['sr', 'repair', host.uuid, '--yes'], { ...host.environment, GFS2_SR_FAULT: fault });
      // Calls may come between; what cannot be used yet may fail, and nothing is to become worse by it.
      await host.call('SR.set_name', { sr: host.uuid, new_name: fault });
    }
    expect((await repair(host, '--yes')).exitCode).toBe(0);
    expect(await known(host)).toEqual(before);
    checkConsistent(host);
  });
});

describe('a repair that makes the catalog anew', () => {
  it.each(repairFaultPoints)('and dies at %s is completed by the next', async (fault) => {
    const { host, clone } = await makeTree();
    using _ = host;
    const before = await known(host);
    chmodSync(imageOf(clone), 0o400);
    leak(imageOf(clone));
    writeFileSync(join(host.path, 'images', 'notes.txt'), 'mine');
    writeFileSync(catalogOf(host), 'garbage');
    const died = await gfs2Sr(['sr', 'repair', host.uuid, '--yes'], {
      ...host.environment,
      GFS2_SR_FAULT: fault,
    });
    expect(died.signal).toBe('SIGKILL');
    expect((await repair(host, '--yes')).exitCode).toBe(0);
    checkConsistent(host);
    const after = await known(host);
    expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
    for (const [key, { read_write, data }] of before)
      expect(after.get(key)).toMatchObject({ read_write, data });
    expect(readFileSync(join(host.path, 'aside', 'notes.txt'), 'utf8')).toBe('mine');
    expect(readFileSync(join(host.path, 'aside', 'catalog.sqlite'), 'utf8')).toBe('garbage');
  });
});

describe('an image that no row knows', () => {
  it('becomes a volume with its data, that a person can recognise', async () => {
    const { host, volume } = await makeTree(false);
    using _ = host;
    const before = await known(host);
    // As copied back from elsewhere: a child of an image that is there.
    const uuid = crypto.randomUUID();
    const file = join(host.path, 'images', `${uuid}.qcow2`);
    const [parent = ''] = readParent(imageOf(volume));
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-u', '-b', parent, '-F', 'qcow2', file, '1M']);
    const told = await check(host);
    expect(told.stdout).toMatch(
      new RegExp(
        `^The image ${uuid}\\.qcow2 is not in the catalog; repair makes it the volume "Recovered ${uuid.slice(0, 8)} of .*" \\(${uuid}\\)\\.$`,
        'm',
      ),
    );
    expect((await repair(host, '--yes')).exitCode).toBe(0);
    const after = await known(host);
    expect(after.get(uuid)).toMatchObject({
      read_write: true,
      data: '1x65536 0x983040',
      keys: { 'vdi-type': 'user' },
    });
    expect(new Map([...after].filter(([key]) => key !== uuid))).toEqual(before);
    checkConsistent(host);
  });

  it('and whose parent is nowhere is left until that is back', async () => {
    const { host } = await makeTree(false);
    using _ = host;
    const file = join(host.path, 'images', `${crypto.randomUUID()}.qcow2`);
    execFileSync('qemu-img', [
      'create',
      '-q',
      '-f',
      'qcow2',
      '-u',
      '-b',
      '../../secret',
      '-F',
      'raw',
      file,
      '1M',
    ]);
    const before = await known(host);
    const done = await repair(host, '--yes');
    expect(done.exitCode).toBe(1);
    expect(done.stdout).toMatch(
      /builds on "\.\.\/\.\.\/secret", which is no image here; it becomes a volume once/,
    );
    expect(existsSync(file)).toBe(true);
    expect(await known(host)).toEqual(before);
  });
});

function readParent(file: string): readonly string[] {
  const info = execFileSync('qemu-img', ['info', '-U', '-f', 'qcow2', '--output=json', file], {
    encoding: 'utf8',
  });
  const { 'backing-filename': name = '' } = JSON.parse(info) as Record<string, string>;
  return [name];
}

describe('an image that is gone', () => {
  it('loses its volumes in words, and they are removed only when that is asked for', async () => {
    const { host, snapshot, raw } = await makeTree(false);
    using _ = host;
    const sr = host.uuid;
    const aside = `${host.folder}/kept`;
    renameSync(imageOf(snapshot), aside);
    const told = await repair(host, '--yes');
    expect(told.exitCode).toBe(1);
    expect(told.stdout).toMatch(
      new RegExp(
        `^The volume "root disk" \\(${snapshot.key}\\) is lost: the image ${uuidOf(snapshot)}, which it needs, is missing; put the file back`,
        'm',
      ),
    );
    expect(await host.call('SR.ls', { sr })).toHaveLength(4);
    // Put back, all is well.
    renameSync(aside, imageOf(snapshot));
    expect((await check(host)).exitCode).toBe(0);

    rmSync(imageOf(snapshot));
    const shown = await repair(host, '--remove-lost');
    expect(shown.stdout).toMatch(/is missing; repair removes the volume from the catalog\.$/m);
    expect(await host.call('SR.ls', { sr })).toHaveLength(4);
    const images = host.images();
    expect((await repair(host, '--remove-lost', '--yes')).exitCode).toBe(0);
    expect((await host.call('SR.ls', { sr })).map(({ key }) => key)).toEqual([raw.key]);
    // What built on it may be of use to someone yet.
    expect(readdirSync(join(host.path, 'aside')).filter((name) => images.includes(name))).toHaveLength(2);
    checkConsistent(host);
  });
});

describe('an image that is in use', () => {
  it('is named and left alone, and all others are mended', async () => {
    const { host, clone, raw } = await makeTree(false);
    using _ = host;
    chmodSync(imageOf(clone), 0o644);
    chmodSync(imageOf(raw), 0o644);
    const user = spawn('flock', ['--exclusive', imageOf(clone), 'sh', '-c', 'echo; exec cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(user.stdout, 'data');
    const done = await repair(host, '--yes');
    expect(done.stdout).toMatch(
      new RegExp(
        `^The image ${basename(imageOf(clone))} is in use by .* on this host, and was left alone\\.$`,
        'm',
      ),
    );
    expect(statSync(imageOf(clone)).mode & 0o777).toBe(0o644);
    expect(statSync(imageOf(raw)).mode & 0o777).toBe(0o600);
    user.stdin.end();
    await once(user, 'close');
    expect((await repair(host, '--yes')).exitCode).toBe(0);
    expect(statSync(imageOf(clone)).mode & 0o777).toBe(0o600);
  });

  it('keeps its volume where the catalog is made anew meanwhile', async () => {
    const { host, volume } = await makeTree();
    using _ = host;
    const sr = host.uuid;
    const before = await known(host);
    const user = spawn('flock', ['--exclusive', imageOf(volume), 'sh', '-c', 'echo; exec cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(user.stdout, 'data');
    rmSync(catalogOf(host));
    expect((await repair(host, '--yes')).exitCode).toBe(0);
    expect((await host.call('Volume.stat', { sr, key: volume.key })).uri).toEqual(volume.uri);
    user.stdin.end();
    await once(user, 'close');
    const after = await known(host);
    for (const [key, { read_write, data }] of before)
      expect(after.get(key)).toMatchObject({ read_write, data });
    checkConsistent(host);
  });
});

it('a check finds nothing while calls are at work', async () => {
  const { host, volume, snapshot } = await makeTree(false);
  using _ = host;
  const sr = host.uuid;
  let over = false;
  const work = async (calls: () => Promise<unknown>): Promise<void> => {
    while (!over) await calls();
  };
  const working = [
    work(async () => {
      const { key } = await host.call('Volume.clone', { sr, key: snapshot.key });
      await host.call('Volume.snapshot', { sr, key });
      await host.call('Volume.destroy', { sr, key });
    }),
    work(async () => {
      const { key } = await host.call('Volume.copy', { sr, key: snapshot.key, dest_sr: sr });
      await host.call('Volume.resize', { sr, key, new_size: 2n * size });
      await host.call('Volume.destroy', { sr, key });
    }),
  ];
  try {
    for (let round = 0; round < 6; round++) {
      const told = await check(host);
      expect(told.stdout).toMatch(/^The SR is in order\.$/m);
      expect(told.exitCode).toBe(0);
    }
  } finally {
    over = true;
    await Promise.allSettled(working);
  }
  await Promise.all(working);
  expect((await host.call('Volume.stat', { sr, key: volume.key })).key).toBe(volume.key);
});

it('a half destroyed SR is left to SR.destroy', async () => {
  const { host } = await makeTree(false);
  using _ = host;
  await host.die('destroy.image', 'SR.destroy', { sr: host.uuid });
  for (const { exitCode, stderr } of [await check(host), await repair(host, '--yes')]) {
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/half destroyed; run SR\.destroy again/)]);
  }
  await host.call('SR.destroy', { sr: host.uuid });
});
