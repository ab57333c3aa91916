import { existsSync } from 'node:fs';
import { faultPoint } from '../../src/fault-point.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import type { ActivationRecord, ActivationState } from '../activation-state.ts';
import { type Activation, type DiskDriver, forget } from '../disk.ts';
import { lossyTimeout, tolerate } from '../lossy.ts';
import { hasNbdDevices, type NbdDevice } from '../nbd/device.ts';
import {
  connectDevice,
  disconnectDevice,
  hasItsDevice,
  publishDevice,
  removeDevice,
} from '../nbd/disk-device.ts';
import { diskNode, type InputOutput } from '../qemu/block-nodes.ts';
import { lockChain } from '../qemu/chain.ts';
import { processPlaces } from '../qemu/places.ts';
import {
  endProcess,
  findProcess,
  flushProcess,
  isServing,
  removeProcessFiles,
  startProcess,
} from '../qemu/process.ts';
import { endWait } from '../qemu/serve-again.ts';
import { resumeDisk } from '../room/pause.ts';

/** How long a process may take to end, in milliseconds. */
const endTimeout = 30_000;
/** For its flush with `lossy`: what is not done by then goes on without us. */
const lossyFlushTimeout = 10_000;

/** A disk that a process serves. */
export interface ProcessRecord extends ActivationRecord {
  /** The process, once it serves the disk. */
  readonly process?: {
    readonly pid: number;
    /** Images, from the disk's to the root, when it was started. */
    readonly depth: number;
    readonly io: InputOutput;
  };
  /** The block device that is connected to it, or about to be; none where the kernel has no such devices. */
  readonly nbd?: NbdDevice;
  readonly scheme: 'qcow2+file';
}

/** The process of a disk. */
export interface DiskServer {
  readonly pid: number;
  readonly serving: boolean;
}

/** qcow2 images, served by processes. */
export const qcow2FileDriver: DiskDriver<ProcessRecord, DiskServer> = {
  scheme: 'qcow2+file',
  isRecord: (record): record is ProcessRecord => (record as Partial<ProcessRecord>).scheme === 'qcow2+file',
  canPause: true,
  async find({ key }, record) {
    const pid = findProcess(key, record?.process?.pid);
    return pid === undefined ? undefined : { pid, serving: isServing(key) && hasItsDevice(record?.nbd) };
  },
  serves: ({ serving }) => serving,
  describe: ({ pid }) => `is active in process ${pid} (qemu-storage-daemon)`,
  start,
  async publish({ key, path }, { pid }, { nbd }) {
    publishDevice(key, nbd);
    await endWait({ key, path, pid, device: nbd });
  },
  async stop({ key, path }, { pid }, record, lossy) {
    // It has to write its last, for which there is room.
    await resumeDisk({ key, path, pid });
    if (existsSync(processPlaces(key).qmp)) {
      await tolerate(lossy, () => endWait({ key, path, pid, device: record?.nbd }));
    }
    const isWritten = record?.mode === 'read-write';
    await disconnectDevice(key, record?.nbd, isWritten, lossy);
    faultPoint('deactivate.disconnected');
    // Once nobody can write any more.
    if (isWritten) await tolerate(lossy, () => flush(key, path, record, lossy));
    await endProcess(key, pid, path, lossy ? lossyTimeout : endTimeout);
  },
  async cleanUp({ key }, record) {
    await removeDevice(key, record?.nbd);
    removeProcessFiles(key);
  },
};

/**
 * Locks the chain and starts a process that serves it.
 *
 * A call that dies on the way leaves either no lock at all, or a process that the next call finds, for it has a file
 * of the disk's folder open, and ends.
 */
async function start(
  { disk, domain, mode }: Activation,
  state: ActivationState<ProcessRecord>,
): Promise<void> {
  const { key, path, sharable } = disk;
  const readOnly = mode === 'read-only';
  using chain = await lockChain(path, readOnly);
  // Of an image that is only read, others may have the lock.
  if (existsSync(processPlaces(key).folder) && findProcess(key) !== undefined) {
    throw new PluginError('VolumeInUse', `The image ${path} is in use on this host.`);
  }
  faultPoint('activate.image-locked');
  let record: ProcessRecord = { scheme: 'qcow2+file', path, mode, sharable, domains: [] };
  const note = (more: Partial<ProcessRecord>): void => {
    record = { ...record, ...more };
    state.write(record);
  };
  note({});
  faultPoint('activate.intended');
  try {
    const { pid, io } = await startProcess(key, chain, readOnly);
    note({ process: { pid, depth: chain.images.length, io } });
    faultPoint('activate.served');
    if (await hasNbdDevices()) {
      const server = {
        socket: processPlaces(key).nbd,
        name: diskNode,
        size: Number(chain.size),
        readOnly,
      };
      await connectDevice(key, server, (nbd) => note({ nbd }));
    }
    note({ domains: [domain] });
    faultPoint('activate.recorded');
  } catch (error) {
    const pid = findProcess(key, record.process?.pid);
    if (pid !== undefined) await endProcess(key, pid, path, endTimeout);
    await forget(qcow2FileDriver, disk, state);
    throw error;
  }
}

async function flush(key: string, path: string, record: ProcessRecord, lossy: boolean): Promise<void> {
  // One that is on its way to its end takes no commands.
  if (record.process === undefined || !existsSync(processPlaces(key).qmp)) return;
  await flushProcess(key, path, record.process.io, lossy ? lossyFlushTimeout : undefined);
}
