/** Every call that changes images, killed between any two of its steps; another host comes next. */
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CallName, Parameters } from '../../src/smapi/interface.ts';
import { imageFaultPoints } from '../../volume/images/fault-points.ts';
import { checkConsistent } from '../support/consistency.ts';
import { fill, runs } from '../support/disk.ts';
import { VolumeHost } from '../support/volume-host.ts';

const size = 1n << 20n;
const newVolume = { name: 'new', description: '', size, sharable: false };
const mine = '1x65536 0x983040';
const changed = '2x4096 1x61440 0x983040';

/** A call on the volumes of a prepared tree, and what each volume reads as if the call is done. */
interface Case {
  readonly call: CallName;
  readonly faults: readonly string[];
  readonly hasTracked?: boolean;
  readonly parameters: (tree: Tree, sr: string) => object;
  /** By what is done, from what there was. */
  readonly done: (content: ReadonlyMap<string, string>, tree: Tree) => readonly string[];
}

/** `volume` was written, snapshotted as `snapshot`, and written again. `lone` has a parent that only it needs, and
 * `tracked` is the last snapshot of a volume that is gone. */
interface Tree {
  readonly volume: string;
  readonly snapshot: string;
  readonly lone: string;
  readonly tracked?: string;
}

const values = (content: ReadonlyMap<string, string>): readonly string[] => [...content.values()];
const without = (content: ReadonlyMap<string, string>, key: string): readonly string[] =>
  [...content].flatMap(([k, text]) => (k === key ? [] : [text]));

const cases: readonly Case[] = [
  {
    call: 'Volume.create',
    faults: ['create.intent', 'create.made', 'create.rows'],
    parameters: () => newVolume,
    done: (content) => [...values(content), '0x1048576'],
  },
  {
    call: 'Volume.snapshot',
    faults: ['snapshot.intent', 'snapshot.made', 'snapshot.frozen', 'snapshot.rows'],
    parameters: ({ volume }) => ({ key: volume }),
    done: (content) => [...values(content), changed],
  },
  {
    call: 'Volume.clone',
    faults: ['clone.intent', 'clone.made', 'clone.made-2', 'clone.frozen', 'clone.rows'],
    parameters: ({ volume }) => ({ key: volume }),
    done: (content) => [...values(content), changed],
  },
  {
    call: 'Volume.clone',
    faults: ['clone.intent', 'clone.made', 'clone.rows'],
    parameters: ({ snapshot }) => ({ key: snapshot }),
    done: (content) => [...values(content), mine],
  },
  {
    call: 'Volume.revert',
    faults: ['revert.intent', 'revert.made', 'revert.frozen', 'revert.rows', 'revert.removed'],
    parameters: ({ volume, snapshot }) => ({ snapshot, key: volume }),
    done: (content, { volume }) => [...without(content, volume), mine],
  },
  {
    call: 'Volume.destroy',
    faults: ['destroy.rows', 'destroy.removed', 'destroy.removed-2'],
    parameters: ({ lone }) => ({ key: lone }),
    done: (content, { lone }) => without(content, lone),
  },
  {
    call: 'Volume.destroy',
    faults: ['destroy.rows'],
    parameters: ({ snapshot }) => ({ key: snapshot }),
    done: (content, { snapshot }) => without(content, snapshot),
  },
  {
    call: 'Volume.data_destroy',
    faults: ['data_destroy.rows', 'data_destroy.removed'],
    hasTracked: true,
    parameters: ({ tracked }) => ({ key: tracked }),
    done: (content, { tracked = '' }) => [...without(content, tracked), 'no data'],
  },
  {
    call: 'Volume.copy',
    faults: ['copy.intent', 'copy.made', 'copy.filled', 'copy.rows'],
    parameters: ({ volume }, sr) => ({ key: volume, dest_sr: sr }),
    done: (content) => [...values(content), changed],
  },
  {
    call: 'Volume.compose',
    faults: ['compose.intent', 'compose.frozen', 'compose.rows', 'compose.rebased', 'compose.removed'],
    parameters: ({ lone, volume }) => ({ key: lone, key2: volume }),
    done: (content, { lone, volume }) => [
      ...[...content].flatMap(([key, text]) => (key === lone || key === volume ? [] : [text])),
      changed,
    ],
  },
  {
    call: 'Volume.resize',
    faults: ['resize.intent', 'resize.grown'],
    parameters: ({ volume }) => ({ key: volume, new_size: 2n * size }),
    done: (content, { volume }) => [...without(content, volume), `${changed.replace('983040', '2031616')}`],
  },
];

/** Done is what a call has put into words that others read; before, nothing has happened. */
const isDone = (fault: string): boolean => /\.(rows|rebased|removed(-\d+)?|grown)$/.test(fault);

const matrix = cases.flatMap((entry) => entry.faults.map((fault) => ({ ...entry, fault })));
const settling = ['settle.removed', 'settle.marked'];
let tried = 0;
afterAll(() =>
  console.log(`${tried} crashes tried: ${matrix.length} steps of calls on trees of each format`),
);

describe.each(['raw', 'qcow2'])('on trees of %s', (format) => {
  const host = new VolumeHost();
  const other = new VolumeHost(host);
  const sr = host.uuid;
  beforeAll(async () => {
    await host.makeSr({ 'image-format': format });
    await other.attachSr();
  });
  afterAll(() => {
    other[Symbol.dispose]();
    host[Symbol.dispose]();
  });

  async function makeTree(hasTracked: boolean): Promise<Tree> {
    const { key: volume } = await host.makeVolume(size);
    const { key: lone } = await host.makeVolume(size);
    for (const key of [volume, lone]) fill(await host.call('Volume.stat', { sr, key }), 1, 0, 65_536);
    const { key: snapshot } = await host.call('Volume.snapshot', { sr, key: volume });
    const { key: passing } = await host.call('Volume.snapshot', { sr, key: lone });
    await host.call('Volume.destroy', { sr, key: passing });
    for (const key of [volume, lone]) fill(await host.call('Volume.stat', { sr, key }), 2, 0, 4096);
    return { volume, snapshot, lone, ...(hasTracked ? { tracked: await makeTracked() } : {}) };
  }

  async function makeTracked(): Promise<string> {
    const { key } = await host.makeVolume(size);
    await host.call('Volume.enable_cbt', { sr, key });
    fill(await host.call('Volume.stat', { sr, key }), 3, 0, 65_536);
    await host.call('Volume.snapshot', { sr, key });
    fill(await host.call('Volume.stat', { sr, key }), 4, 65_536, 65_536);
    const tracked = await host.call('Volume.snapshot', { sr, key });
    await host.call('Volume.destroy', { sr, key });
    return tracked.key;
  }

  async function contents(on: VolumeHost): Promise<ReadonlyMap<string, string>> {
    const volumes = await on.call('SR.ls', { sr });
    return new Map(volumes.map((volume) => [volume.key, volume.uri.length === 0 ? 'no data' : runs(volume)]));
  }

  it('has all steps', () => {
    expect([...new Set(matrix.map(({ fault }) => fault))].toSorted()).toEqual(
      Object.values(imageFaultPoints).flat().toSorted(),
    );
  });

  it.each(matrix)(
    '$call killed at $fault is done or undone',
    async ({ call, fault, hasTracked = false, parameters, done }) => {
      const tree = await makeTree(hasTracked);
      const given = { sr, ...parameters(tree, sr) } as unknown as Omit<Parameters<typeof call>, 'dbg'>;
      const before = await contents(host);
      await host.die(fault, call, given);
      tried++;
      // What comes to clean up may die too.
      // By calls that change something: what a copy left concerns nobody who only reads.
      const next = { sr, new_name: 'another name' };
      for (const again of settling) await other.die(again, 'SR.set_name', next).catch(() => undefined);
      await other.call('SR.set_name', next);
      const after = await contents(other);
      checkConsistent(host);
      expect(values(after).toSorted()).toEqual(
        (isDone(fault) ? done(before, tree) : values(before)).toSorted(),
      );
      if (!isDone(fault)) {
        await other.call(call, given);
        expect(values(await contents(other)).toSorted()).toEqual(done(before, tree).toSorted());
        checkConsistent(host);
      }
      for (const key of (await contents(other)).keys()) await other.call('Volume.destroy', { sr, key });
      expect(host.images()).toEqual([]);
    },
  );
});

describe('a call that dies while its qemu-img works on', () => {
  /** Puts a qemu-img before the real one that begins `seconds` late, and says when it is over; answers the PATH. */
  function delayTool(host: VolumeHost, seconds: number): string {
    const folder = join(host.folder, 'bin');
    mkdirSync(folder);
    const begun = join(host.folder, 'begun');
    const tool = `#!/bin/sh\ntouch ${begun}\nsleep ${seconds}\n/usr/bin/qemu-img "$@"\ntouch ${join(host.folder, 'over')}\n`;
    writeFileSync(join(folder, 'qemu-img'), tool, { mode: 0o755 });
    return `${folder}:${process.env.PATH}`;
  }

  it('is settled once that has ended, and hinders nobody until then', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': 'qcow2' });
    const volume = await host.makeVolume(size);
    const { key } = volume;
    fill(volume, 1, 0, 65_536);
    const path = delayTool(host, 2);
    const given = { sr, key, new_size: 2n * size };
    const child = host.start('Volume.resize', given, { PATH: path });
    const ended = once(child, 'close');
    while (!existsSync(join(host.folder, 'begun'))) await sleep(10);
    child.kill('SIGKILL');
    await ended;

    const [listed] = await host.call('SR.ls', { sr });
    expect(listed).toEqual(volume);
    await host.call('Volume.set', { sr, key, k: 'a', v: 'b' });
    expect((await host.failure('Volume.resize', given)).params[0]).toBe('VolumeInUse');
    while (!existsSync(join(host.folder, 'over'))) await sleep(50);
    // The lock ends with the process, a little later.
    await sleep(200);
    await host.call('Volume.set', { sr, key, k: 'a', v: 'c' });
    checkConsistent(host);
    const after = await host.call('Volume.stat', { sr, key });
    expect(runs(after)).toBe('1x65536 0x2031616');
    expect(after.virtual_size).toBe(2n * size);
  });
});
