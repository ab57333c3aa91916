/** Who uses a block device of this host, told to people. */
import { listProcesses, openFiles, programName, readLines } from '../../../src/proc.ts';
import { deviceName, readDeviceNumber, readHolders, readMap } from './sysfs.ts';

/** Processes of this host by the name of a block device that they have open, such as `sdb`, in words. */
export type OpenDevices = ReadonlyMap<string, readonly string[]>;

/** Looks at all processes, which takes long: once for all devices of a call. */
export function readOpenDevices(): OpenDevices {
  const open = new Map<string, readonly string[]>();
  for (const pid of listProcesses()) {
    if (pid === process.pid) continue;
    const nodes = new Set(openFiles(pid).filter((file) => file.startsWith('/dev/')));
    if (nodes.size === 0) continue;
    const name = programName(pid) ?? '?';
    // They keep descriptors of every path for a moment, and let go of them by themselves.
    if (name === 'multipathd' || /^\(?(systemd-)?udev/.test(name)) continue;
    for (const node of nodes) {
      const device = deviceName(node);
      if (device !== undefined) open.set(device, [...(open.get(device) ?? []), `process ${pid} (${name})`]);
    }
  }
  return open;
}

/**
 * Uses of a disk: mounts, swap, devices on top of it, and processes that have it open. A multipath map on
 * top of it is no use of it by itself, but its uses count.
 *
 * @param device such as `sdb` or `dm-3`.
 */
export function usesOf(device: string, open: OpenDevices): readonly string[] {
  return [device, ...readHolders(device)].flatMap((name) => [
    ...mounts(name),
    ...swaps(name),
    ...(open.get(name) ?? []),
    ...(name === device ? [] : usesOnTop(device, name, open)),
  ]);
}

/** Uses of `device` by `holder`, which is on top of it: a partition is none by itself. */
function usesOnTop(device: string, holder: string, open: OpenDevices): readonly string[] {
  if (isMultipath(holder)) return usesOf(holder, open);
  const map = readMap(holder);
  // dm-10 is no partition of dm-1.
  if (map === undefined && holder.startsWith(device)) return [];
  return [`the device ${map?.name ?? holder}`];
}

/** Whether a device is a multipath map, or a partition that kpartx made of one. */
function isMultipath(device: string): boolean {
  return readMap(device)?.uuid.includes('mpath-') === true;
}

function mounts(device: string): readonly string[] {
  const number = readDeviceNumber(device);
  return readLines('/proc/self/mountinfo')
    .map((line) => line.split(' '))
    .filter((fields) => fields[2] === number)
    .map((fields) => `the mount at ${fields[4]}`);
}

function swaps(device: string): readonly string[] {
  return readLines('/proc/swaps')
    .map((line) => line.split(/\s/, 1)[0] ?? '')
    .filter((path) => path.startsWith('/') && deviceName(path) === device)
    .map(() => `swap on ${device}`);
}
