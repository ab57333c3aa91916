/**
 * Activation and deactivation of disks, whole calls, against what starts and ends bare peers. There is no block device
 * on what serves a qcow2 disk, on either side: not every kernel has NBD devices.
 */
import { closeSync, openSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import type { CallName } from '../src/smapi/interface.ts';
import { entryFile } from '../test/support/xapi.ts';
import { DiskPlaces, qemuImg } from './disk-places.ts';
import { type Comparison, compareAll, type Measurement } from './measure.ts';
import { activateDisk, bindLoop, type ServedDisk, startQemuNbd } from './served-disks.ts';
import { fromStart, untilStandby } from './standby.ts';
import { timeProcess } from './whole-process.ts';

const GiB = 1 << 30;

/**
 * Measures them.
 *
 * @param onDisk a folder on a filesystem that takes direct I/O.
 */
export async function benchActivation(
  rounds: number,
  onDisk: string,
): Promise<Readonly<Record<string, Comparison>>> {
  using places = new DiskPlaces(onDisk);
  const { images, sockets, environment } = places;
  // One that runs all the time, as on a host in use: the first one also starts what watches the room that disks have.
  const other = join(images, 'other.qcow2');
  qemuImg('create', [], '-f', 'qcow2', other, String(GiB));
  await using _running = await activateDisk('qcow2+file', other, environment);
  const raw = join(images, 'activated.raw');
  const image = join(images, 'activated.qcow2');
  closeSync(openSync(raw, 'wx'));
  truncateSync(raw, GiB);
  qemuImg('create', [], '-f', 'qcow2', image, String(GiB));
  const call = async (scheme: string, name: CallName, uri: string, more = {}): Promise<number> => {
    await untilStandby(environment.GFS2_SR_RUN_DIR, scheme);
    const entry = entryFile(`datapath/${scheme}`, name);
    const request = JSON.stringify({ dbg: 'bench', uri, domain: '1' });
    return timeProcess(entry, ['--json'], request, { ...environment, ...more }).milliseconds;
  };
  const onAndOff = (scheme: string, of: string): Readonly<Record<string, Measurement>> => {
    const uri = `${scheme}://${of}`;
    const both = async (more?: object): Promise<number> =>
      (await call(scheme, 'Datapath.activate', uri, more)) +
      (await call(scheme, 'Datapath.deactivate', uri, more));
    return {
      'activate, deactivate': () => both(),
      'activate, deactivate, nobody standing by': () => both(fromStart),
    };
  };
  const timed = async (use: () => Promise<ServedDisk>): Promise<number> => {
    const begin = performance.now();
    await (await use())[Symbol.asyncDispose]();
    return performance.now() - begin;
  };
  const [ofRaw] = await compareAll(
    [{ losetup: () => timed(async () => bindLoop(raw)), ...onAndOff('raw+file', raw) }],
    'losetup',
    rounds,
  );
  const [ofQcow2] = await compareAll(
    [
      {
        'qemu-nbd': () => timed(() => startQemuNbd(image, join(sockets, 'activated.nbd'))),
        ...onAndOff('qcow2+file', image),
      },
    ],
    'qemu-nbd',
    rounds,
  );
  return {
    'raw: start and end': ofRaw as Comparison,
    'qcow2: start and end, without a block device': ofQcow2 as Comparison,
  };
}
