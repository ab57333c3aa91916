/**
 * How long a guest that writes waits when its disk is snapshotted, against what a tapdisk's pause and unpause cost, around
 * which every snapshot of a vhd disk is made. Measured by the guest: the longest of its writes, one at a time.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasBlktap, listTapdisks } from '../test/support/vhd.ts';
import { volumeCaller } from '../test/support/xapi.ts';
import { DiskPlaces } from './disk-places.ts';
import { type Comparison, compare } from './measure.ts';
import { activateDisk, type ServedDisk } from './served-disks.ts';
import { fromStart } from './standby.ts';
import { timeProcess } from './whole-process.ts';

const size = 1n << 30n;
/** Milliseconds that a guest writes, and after which something is done. */
const writing = 1_500;
const lead = 500;

/**
 * Measures it.
 *
 * @param onDisk a folder on a filesystem that takes direct I/O.
 * @returns undefined where there is no tapdisk to compare with.
 */
export async function benchStall(rounds: number, onDisk: string): Promise<Comparison | undefined> {
  if (!hasBlktap) return undefined;
  using places = new DiskPlaces(onDisk);
  await using qcow2 = await WrittenDisk.make(places, 'qcow2');
  await using vhd = await WrittenDisk.make(places, 'vhd');
  return await compare(
    {
      'tapdisk, pause and unpause': () => vhd.longestWrite(() => pauseAndUnpause(vhd)),
      'tapdisk, nothing': () => vhd.longestWrite(async () => {}),
      'vhd, Volume.snapshot': () => vhd.longestWrite(() => vhd.snapshot()),
      'qcow2, Volume.snapshot': () => qcow2.longestWrite(() => qcow2.snapshot()),
      'qcow2, nothing': () => qcow2.longestWrite(async () => {}),
    },
    'tapdisk, pause and unpause',
    rounds,
  );
}

/** A volume whose disk runs. */
class WrittenDisk implements AsyncDisposable {
  readonly folder: string;
  readonly #sr: string;
  readonly #key: string;
  readonly #served: ServedDisk;
  readonly #call: ReturnType<typeof volumeCaller>;

  private constructor(
    folder: string,
    sr: string,
    key: string,
    served: ServedDisk,
    call: ReturnType<typeof volumeCaller>,
  ) {
    this.folder = folder;
    this.#sr = sr;
    this.#key = key;
    this.#served = served;
    this.#call = call;
  }

  static async make({ images, environment }: DiskPlaces, format: 'qcow2' | 'vhd'): Promise<WrittenDisk> {
    const variables = { ...environment, ...fromStart };
    const call = volumeCaller(variables);
    const folder = mkdtempSync(join(images, `${format}-`));
    const configuration = await call('SR.create', {
      uuid: crypto.randomUUID(),
      configuration: { provider: 'path', path: folder, 'image-format': format },
      name: 'bench',
      description: '',
    });
    const sr = await call('SR.attach', { configuration });
    const { key, uri } = await call('Volume.create', {
      sr,
      name: 'a disk',
      description: '',
      size,
      sharable: false,
    });
    const image = decodeURIComponent(new URL(uri[0] ?? '').pathname);
    return new WrittenDisk(folder, sr, key, await activateDisk(`${format}+file`, image, variables), call);
  }

  /** Snapshots the volume, and removes the snapshot when the guest writes no more. */
  async snapshot(): Promise<() => Promise<unknown>> {
    const { key } = await this.#call('Volume.snapshot', { sr: this.#sr, key: this.#key });
    return () => this.#call('Volume.destroy', { sr: this.#sr, key });
  }

  /** Has a guest write while something is done; answers the milliseconds that its longest write took. */
  async longestWrite(act: () => Promise<unknown>): Promise<number> {
    const { disk } = this.#served;
    if (!('uri' in disk)) throw new Error('the disk has no NBD server');
    const output = join(this.folder, 'fio.json');
    const job = [
      '--name=guest',
      '--ioengine=nbd',
      `--uri=${disk.uri}`,
      '--rw=randwrite',
      '--bs=4k',
      '--iodepth=1',
    ];
    const limit = ['--time_based', `--runtime=${writing}ms`, `--size=${size}`, '--norandommap', '--thread=1'];
    const guest = spawn('fio', [...job, ...limit, '--output-format=json', `--output=${output}`], {
      stdio: 'ignore',
      // A client of a tapdisk that is paused has been seen to wait for ever.
      timeout: 20_000,
      killSignal: 'SIGKILL',
    });
    const ended = once(guest, 'exit');
    await sleep(lead);
    const after = await act();
    await ended;
    if (typeof after === 'function') await after();
    const text = readFileSync(output, 'utf8');
    rmSync(output);
    const { jobs } = JSON.parse(text.slice(text.indexOf('{'))) as {
      readonly jobs: readonly { readonly write: { readonly clat_ns: { readonly max: number } } }[];
    };
    const longest = jobs[0]?.write.clat_ns.max;
    if (longest === undefined || !(longest > 0)) throw new Error(`the guest wrote nothing: ${text}`);
    return longest / 1e6;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#served[Symbol.asyncDispose]();
    await this.#call('SR.detach', { sr: this.#sr });
  }
}

async function pauseAndUnpause({ folder }: WrittenDisk): Promise<void> {
  const found = listTapdisks().find(({ path }) => path.startsWith(`${folder}/`));
  if (found === undefined) throw new Error('no tapdisk serves the disk');
  const [pid = '', minor = ''] = found.name.split('.');
  for (const command of ['pause', 'unpause']) timeProcess('tap-ctl', [command, '-p', pid, '-m', minor]);
}
