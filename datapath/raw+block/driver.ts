import { closeSync, constants, openSync, realpathSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitsFor } from '../../src/deadline.ts';
import { faultPoint } from '../../src/fault-point.ts';
import { linkTarget, readText } from '../../src/proc.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { type ActivationRecord, type ActivationState, listRecords } from '../activation-state.ts';
import { describeHolders, findHolders } from '../block-device/holders.ts';
import { pointDeviceLink, removeDeviceLink } from '../device-link.ts';
import { type Activation, type Disk, type DiskDriver, forget } from '../disk.ts';
import { flushFile } from '../flush.ts';
import { lossyTimeout, tolerate } from '../lossy.ts';

/** How long users of a device may take to close it, in milliseconds. */
const closeTimeout = 5_000;

/** A disk that is a block device of this host. */
export interface BlockRecord extends ActivationRecord {
  readonly scheme: 'raw+block';
  /** `major:minor`. */
  readonly number: string;
}

/** A block device as the kernel has it. */
export interface BlockDevice {
  readonly number: string;
  /** Its node, which is no link. */
  readonly node: string;
  /** Its name below /sys/class/block. */
  readonly name: string;
}

/** Block devices, served as they are. */
export const rawBlockDriver: DiskDriver<BlockRecord, BlockDevice> = {
  scheme: 'raw+block',
  isRecord: (record): record is BlockRecord => (record as Partial<BlockRecord>).scheme === 'raw+block',
  canPause: false,
  async find({ path }, record) {
    const device = findDevice(path);
    // Without a record nothing says that a device is anybody's disk.
    return device?.number === record?.number ? device : undefined;
  },
  serves: () => true,
  describe: ({ node }) => `is active as ${node}`,
  start,
  publish: ({ key }, { node }) => pointDeviceLink(key, node),
  async stop({ key }, { node, name }, record, lossy) {
    removeDeviceLink(key);
    await tolerate(lossy, () => untilClosed({ node, name }, lossy ? lossyTimeout : closeTimeout));
    if (record?.mode !== 'read-only') await tolerate(lossy, () => flushFile(node, lossy));
  },
  async cleanUp({ key }) {
    removeDeviceLink(key);
  },
};

/** @throws PluginError `DeviceInUse` where its users take longer. */
async function untilClosed(
  { node, name }: Pick<BlockDevice, 'node' | 'name'>,
  timeout: number,
): Promise<void> {
  for (const end = performance.now() + timeout; findHolders(name).length > 0; await sleep(20)) {
    if (performance.now() < end) continue;
    throw new PluginError(
      'DeviceInUse',
      `${node} is still in use by ${describeHolders(name)}; end that use and repeat the call.`,
    );
  }
}

async function start({ disk, domain, mode }: Activation, state: ActivationState<BlockRecord>): Promise<void> {
  const { key, path, sharable } = disk;
  const device = requireDevice(path);
  requireFree(disk, device, mode === 'read-only');
  const record: BlockRecord = {
    scheme: 'raw+block',
    path,
    mode,
    sharable,
    domains: [],
    number: device.number,
  };
  try {
    state.write(record);
    faultPoint('activate.intended');
    pointDeviceLink(key, device.node);
    faultPoint('activate.linked');
    state.write({ ...record, domains: [domain] });
    faultPoint('activate.recorded');
  } catch (error) {
    await forget(rawBlockDriver, disk, state);
    throw error;
  }
}

/** A device by its path, which may be a link; undefined where there is none. */
export function findDevice(path: string): BlockDevice | undefined {
  try {
    const node = realpathSync(path);
    const status = statSync(node);
    if (!status.isBlockDevice()) return undefined;
    // As makedev(3) packs them.
    const major = ((status.rdev >>> 8) & 0xfff) | (Math.floor(status.rdev / 2 ** 32) & ~0xfff);
    const minor = (status.rdev & 0xff) | ((status.rdev >>> 12) & ~0xff);
    const number = `${major}:${minor}`;
    return { number, node, name: basename(linkTarget(`/sys/dev/block/${number}`) ?? node) };
  } catch {
    return undefined;
  }
}

/** @throws PluginError `ImageMissing`, `NotAnImage`. */
export function requireDevice(path: string): BlockDevice {
  waitsFor(`the device ${path}`);
  const device = findDevice(path);
  if (device !== undefined) return device;
  if (statSync(path, { throwIfNoEntry: false }) === undefined) {
    throw new PluginError(
      'ImageMissing',
      `There is no device ${path}; is its storage connected to this host?`,
    );
  }
  throw new PluginError('NotAnImage', `${path} is no block device; use raw+file for an image in a file.`);
}

/** Refuses a device that this host uses otherwise, also by another path. */
function requireFree({ path, sharable }: Disk, { number, node, name }: BlockDevice, readOnly: boolean): void {
  const others = listRecords(rawBlockDriver.isRecord).filter(
    (record) => record.number === number && record.path !== path && record.domains.length > 0,
  );
  const rival = others.find(
    (other) => !(readOnly && other.mode === 'read-only') && !(sharable && other.sharable),
  );
  if (rival !== undefined) {
    throw new PluginError(
      'VolumeInUse',
      `The device ${path} is active on this host as ${rival.path}; deactivate it there first.`,
    );
  }
  if (readOnly) return;
  if (readText(`/sys/class/block/${name}/ro`) === '1') {
    throw new PluginError(
      'ImageFrozen',
      `The device ${path} is read-only; let this host write it, or use the disk read-only.`,
    );
  }
  if (sharable) return;
  try {
    // The kernel's mounts, and devices on top of it, have it to themselves.
    closeSync(openSync(node, constants.O_RDWR | constants.O_EXCL | constants.O_NONBLOCK));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EBUSY') {
      throw new PluginError('ImageUnusable', `The device ${path} cannot be opened (${code}).`, {
        cause: error,
      });
    }
    throw new PluginError(
      'VolumeInUse',
      `The device ${path} is in use on this host by ${describeHolders(name)}; end that use first.`,
    );
  }
}
