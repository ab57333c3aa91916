/**
 * Random operations by several processes at once, against a simple model in memory: same volumes, same data.
 *
 * GFS2_SR_MODEL_SEED replays a run, GFS2_SR_MODEL_ROUNDS makes it longer.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Volume } from '../../src/smapi/interface.ts';
import { runCollector } from '../gc/collector.ts';
import { checkConsistent } from '../support/consistency.ts';
import { fill, read } from '../support/disk.ts';
import { GuestLock } from '../support/guest-lock.ts';
import { Random } from '../support/random.ts';
import { VolumeHost } from '../support/volume-host.ts';
import { Worker } from '../support/worker.ts';

const block = 4096;
const processes = 3;
const mostVolumes = 20;
const rounds = Number(process.env.GFS2_SR_MODEL_ROUNDS ?? 250);
const seed = Number(process.env.GFS2_SR_MODEL_SEED ?? Math.floor(Math.random() * 2 ** 32));

/** A volume as it should be. */
interface Model {
  key: string;
  name: string;
  readonly readWrite: boolean;
  keys: Record<string, string>;
  /** One byte for each block. */
  content: Uint8Array;
}

/** Does something, and answers how the model changes by it. */
type Operation = () => Promise<() => void>;

describe(`random operations, seed ${seed}`, () => {
  const host = new VolumeHost();
  const sr = host.uuid;
  const random = new Random(seed);
  const volumes: Model[] = [];
  const counts = new Map<string, number>();
  let workers: readonly Worker[] = [];

  beforeAll(async () => {
    await host.makeSr({ 'image-format': seed % 2 === 0 ? 'raw' : 'qcow2' });
    workers = Array.from({ length: processes }, () => new Worker(host.environment));
  });
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.end()));
    host[Symbol.dispose]();
  });

  /** One more process collects garbage beside the others. */
  async function collect(): Promise<void> {
    const { stdout, stderr, exitCode } = await runCollector(host);
    if (exitCode !== 0 || stdout.includes('failed'))
      throw new Error(`garbage collection: ${stdout}${stderr}`);
    const merged = Number(/: (\d+) images merged/.exec(stdout)?.[1]);
    counts.set('merge', (counts.get('merge') ?? 0) + merged);
  }

  /** What a process does next; undefined where nothing fits. */
  function choose(worker: Worker, busy: Set<Model>): Operation | undefined {
    const free = volumes.filter((volume) => !busy.has(volume));
    const claim = (volume: Model | undefined): Model | undefined => {
      if (volume !== undefined) busy.add(volume);
      return volume;
    };
    const any = (): Model | undefined => claim(random.pick(free));
    const writable = (): Model | undefined => claim(random.pick(free.filter(({ readWrite }) => readWrite)));
    const what = random.below(volumes.length >= mostVolumes ? 40 : 100);
    if (volumes.length < 3 || what >= 92) return create(worker);
    if (what < 12) return on(any(), (volume) => destroy(worker, volume));
    if (what < 30) return on(writable(), (volume) => write(worker, volume));
    if (what < 36) return on(any(), (volume) => label(worker, volume));
    if (what < 40) return on(writable(), (volume) => resize(worker, volume));
    if (what < 62) return on(any(), (volume) => branch(worker, volume, 'Volume.snapshot'));
    if (what < 84) return on(any(), (volume) => branch(worker, volume, 'Volume.clone'));
    const snapshot = claim(random.pick(free.filter(({ readWrite }) => !readWrite)));
    return on(snapshot === undefined ? undefined : writable(), (volume) =>
      revert(worker, snapshot as Model, volume),
    );
  }

  function on(volume: Model | undefined, operation: (volume: Model) => Operation): Operation | undefined {
    return volume === undefined ? undefined : operation(volume);
  }

  function count(what: string): void {
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }

  function create(worker: Worker): Operation {
    const blocks = 1 + random.below(96);
    const name = `volume ${random.below(1000)}`;
    return async () => {
      const size = BigInt(blocks * block);
      const made = await worker.call('Volume.create', { sr, name, description: '', size, sharable: false });
      return () => {
        volumes.push({ key: made.key, name, readWrite: true, keys: {}, content: new Uint8Array(blocks) });
        count('create');
      };
    };
  }

  function branch(worker: Worker, volume: Model, call: 'Volume.snapshot' | 'Volume.clone'): Operation {
    return async () => {
      const { key } = await worker.call(call, { sr, key: volume.key });
      return () => {
        volumes.push({
          key,
          name: volume.name,
          readWrite: call === 'Volume.clone',
          keys: { 'vdi-type': 'user' },
          content: volume.content.slice(),
        });
        count(call);
      };
    };
  }

  function destroy(worker: Worker, volume: Model): Operation {
    return async () => {
      await worker.call('Volume.destroy', { sr, key: volume.key });
      return () => {
        volumes.splice(volumes.indexOf(volume), 1);
        count('destroy');
      };
    };
  }

  function revert(worker: Worker, snapshot: Model, volume: Model): Operation {
    return async () => {
      await worker.call('Volume.revert', { sr, snapshot: snapshot.key, key: volume.key });
      return () => {
        volume.content = snapshot.content.slice();
        count('revert');
      };
    };
  }

  function resize(worker: Worker, volume: Model): Operation {
    const blocks = volume.content.length + random.below(64);
    return async () => {
      await worker.call('Volume.resize', { sr, key: volume.key, new_size: BigInt(blocks * block) });
      return () => {
        const content = new Uint8Array(blocks);
        content.set(volume.content);
        volume.content = content;
        count('resize');
      };
    };
  }

  function label(worker: Worker, volume: Model): Operation {
    const name = `name ${random.below(1000)}`;
    const k = `key ${random.below(3)}`;
    const isSet = random.below(2) === 0;
    return async () => {
      await worker.call('Volume.set_name', { sr, key: volume.key, new_name: name });
      if (isSet) await worker.call('Volume.set', { sr, key: volume.key, k, v: name });
      else await worker.call('Volume.unset', { sr, key: volume.key, k });
      return () => {
        volume.name = name;
        if (isSet) volume.keys[k] = name;
        else delete volume.keys[k];
        count('set and unset');
      };
    };
  }

  /** As a guest: what is there is as it should be, and then is another. */
  function write(worker: Worker, volume: Model): Operation {
    const start = random.below(volume.content.length);
    const blocks = 1 + random.below(volume.content.length - start);
    const byte = random.below(256);
    return async () => {
      for (let isDone = false; !isDone; ) {
        using lock = new GuestLock();
        const found = await worker.call('Volume.stat', { sr, key: volume.key });
        isDone = await lock.take(found);
        if (!isDone) continue;
        checkContent(found, volume);
        fill(found, byte, start * block, blocks * block);
      }
      return () => {
        volume.content.fill(byte, start, start + blocks);
        count('write');
      };
    };
  }

  function checkContent(found: Volume, volume: Model): void {
    const expected = Buffer.concat([...volume.content].map((byte) => Buffer.alloc(block, byte)));
    // Not toEqual, which would print all of both.
    if (!read(found).equals(expected))
      throw new Error(`the volume ${volume.key} has other data than it should`);
  }

  async function checkAll(): Promise<void> {
    const found = new Map((await host.call('SR.ls', { sr })).map((volume) => [volume.key, volume]));
    expect(found.size).toBe(volumes.length);
    for (const volume of volumes) {
      const there = found.get(volume.key) as Volume;
      expect(there).toMatchObject({
        name: volume.name,
        read_write: volume.readWrite,
        virtual_size: BigInt(volume.content.length * block),
      });
      expect(there.keys).toEqual(volume.keys);
      checkContent(there, volume);
    }
    checkConsistent(host);
  }

  it(`in ${rounds} rounds of ${processes} processes have the model's outcome`, {
    timeout: 60_000 + rounds * 4_000,
  }, async () => {
    console.log(`seed ${seed}`);
    for (let round = 1; round <= rounds; round++) {
      const busy = new Set<Model>();
      const collecting = round % 4 === 0 ? collect() : undefined;
      const done = await Promise.all(workers.map((worker) => choose(worker, busy)?.()));
      await collecting;
      // In the order of the processes, so that a seed replays.
      for (const change of done) change?.();
      if (round % 40 === 0) await checkAll();
    }
    await checkAll();
    console.log([...counts].map(([what, times]) => `${times} ${what}`).join(', '));
    for (const { key } of volumes) await host.call('Volume.destroy', { sr, key });
    expect(host.images()).toEqual([]);
  });
});
