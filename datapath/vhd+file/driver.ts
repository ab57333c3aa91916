import { existsSync } from 'node:fs';
import { faultPoint } from '../../src/fault-point.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import type { ActivationRecord, ActivationState } from '../activation-state.ts';
import { type Activation, type DiskDriver, forget } from '../disk.ts';
import { lossyTimeout } from '../lossy.ts';
import type { NbdDevice } from '../nbd/device.ts';
import {
  connectDevice,
  disconnectDevice,
  hasItsDevice,
  publishDevice,
  removeDevice,
} from '../nbd/disk-device.ts';
import { lockChain } from '../qemu/chain.ts';
import { resumeDisk } from '../room/pause.ts';
import { tapdiskPlaces } from '../tapdisk/places.ts';
import {
  endTapdisk,
  findTapdisk,
  isTapdiskServing,
  removeTapdiskFiles,
  startTapdisk,
  type Tapdisk,
} from '../tapdisk/process.ts';
import { exportName, needsBlockDevice } from './implementations.ts';

/** How long a tapdisk may take to close its disk, in milliseconds. */
const closeTimeout = 30_000;

/** A disk that a tapdisk serves. */
export interface TapdiskRecord extends ActivationRecord {
  /** As far as it has got. */
  readonly tapdisk?: { readonly pid: number; readonly minor?: number };
  /** Images, from the disk's to the root. */
  readonly depth: number;
  /** The block device that is connected to it, or about to be; none where guests need none. */
  readonly nbd?: NbdDevice;
  readonly scheme: 'vhd+file';
}

/** The tapdisk of a disk. */
export interface TapdiskServer extends Tapdisk {
  readonly serving: boolean;
}

/** vhd images, served by tapdisks. */
export const vhdFileDriver: DiskDriver<TapdiskRecord, TapdiskServer> = {
  scheme: 'vhd+file',
  isRecord: (record): record is TapdiskRecord => (record as Partial<TapdiskRecord>).scheme === 'vhd+file',
  canPause: true,
  async find({ key }, record) {
    const found = await findTapdisk(key, hintOf(record));
    return found && { ...found, serving: isTapdiskServing(key, found) && hasItsDevice(record?.nbd) };
  },
  serves: ({ serving }) => serving,
  describe: ({ pid }) => `is active in process ${pid} (tapdisk)`,
  start,
  publish: ({ key }, _server, { nbd }) => publishDevice(key, nbd),
  async stop({ key, path }, server, record, lossy) {
    // It has to write its last, for which there is room.
    await resumeDisk({ key, path, pid: server.pid, minor: server.minor });
    const isWritten = record?.mode !== 'read-only';
    await disconnectDevice(key, record?.nbd, isWritten, lossy);
    faultPoint('deactivate.disconnected');
    const flushes = isWritten ? (lossy ? 'lossy' : 'yes') : 'no';
    await endTapdisk(key, server, path, flushes, lossy ? lossyTimeout : closeTimeout);
    faultPoint('deactivate.ended');
  },
  async cleanUp({ key }, record) {
    await removeDevice(key, record?.nbd);
    await removeTapdiskFiles(key, hintOf(record));
  },
};

/**
 * Locks the chain and starts a tapdisk that serves it.
 *
 * A call that dies on the way leaves either no lock at all, or a process that the next call finds, for it has a file
 * of the disk's folder open, and ends. What tap-ctl has answered by then is in that folder.
 */
async function start(
  { disk, domain, mode }: Activation,
  state: ActivationState<TapdiskRecord>,
): Promise<void> {
  const { key, path, sharable } = disk;
  const readOnly = mode === 'read-only';
  using chain = await lockChain(path, readOnly, 'vhd');
  // Of an image that is only read, others may have the lock.
  if (existsSync(tapdiskPlaces(key).folder) && (await findTapdisk(key, undefined)) !== undefined) {
    throw new PluginError('VolumeInUse', `The image ${path} is in use on this host.`);
  }
  faultPoint('activate.image-locked');
  let record: TapdiskRecord = {
    scheme: 'vhd+file',
    path,
    mode,
    sharable,
    domains: [],
    depth: chain.images.length,
  };
  const note = (more: Partial<TapdiskRecord>): void => {
    record = { ...record, ...more };
    state.write(record);
  };
  note({});
  faultPoint('activate.intended');
  try {
    await startTapdisk(key, chain, readOnly, ({ pid, minor }) =>
      note({ tapdisk: { pid, ...(minor === undefined ? {} : { minor }) } }),
    );
    faultPoint('activate.served');
    if (await needsBlockDevice()) {
      const server = { socket: tapdiskPlaces(key).nbd, name: exportName, size: Number(chain.size), readOnly };
      await connectDevice(key, server, (nbd) => note({ nbd }));
    }
    note({ domains: [domain] });
    faultPoint('activate.recorded');
  } catch (error) {
    const started = await findTapdisk(key, hintOf(record));
    if (started !== undefined) await endTapdisk(key, started, path, 'no', closeTimeout);
    await forget(vhdFileDriver, disk, state);
    throw error;
  }
}

function hintOf(record: TapdiskRecord | undefined): Tapdisk | undefined {
  return record?.tapdisk && { pid: record.tapdisk.pid, minor: record.tapdisk.minor };
}
