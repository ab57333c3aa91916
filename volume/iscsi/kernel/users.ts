/** Who uses a block device of this host, told to people. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { deviceName, readDeviceNumber, readHolders, readMap } from './sysfs.ts';

/**
 * Uses of a disk: mounts, swap, devices on top of it, and processes that have it open. A multipath map on
 * top of it is no use of it by itself, but its uses count.
 *
 * @param device such as `sdb` or `dm-3`.
 * @param processes whether to look for processes too, which takes a look at all that there are.
 */
export function usesOf(device: string): readonly string[] {
  const devices = [device, ...readHolders(device)];
  const nodes = new Set(devices);
  const uses: string[] = [];
  for (const name of devices) {
    uses.push(...mounts(name), ...swaps(name));
    if (name === device) continue;
    if (isMultipath(name)) uses.push(...usesOf(name));
    else if (!name.startsWith(device)) uses.push(`the device ${readMap(name)?.name ?? name}`);
  }
  return [...uses, ...processesWith(nodes)];
}

/** Whether a device is a multipath map, or a partition that kpartx made of one. */
function isMultipath(device: string): boolean {
  return readMap(device)?.uuid.includes('mpath-') === true;
}

function mounts(device: string): readonly string[] {
  const number = readDeviceNumber(device);
  return lines('/proc/self/mountinfo')
    .map((line) => line.split(' '))
    .filter((fields) => fields[2] === number)
    .map((fields) => `the mount at ${fields[4]}`);
}

function swaps(device: string): readonly string[] {
  return lines('/proc/swaps')
    .map((line) => line.split(/\s/, 1)[0] ?? '')
    .filter((path) => path.startsWith('/') && deviceName(path) === device)
    .map(() => `swap on ${device}`);
}

function processesWith(devices: ReadonlySet<string>): readonly string[] {
  return (
    list('/proc')
      .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
      .filter((pid) =>
        list(`/proc/${pid}/fd`).some((fd) => {
          const target = linkTarget(`/proc/${pid}/fd/${fd}`);
          return target?.startsWith('/dev/') === true && devices.has(deviceName(target) ?? '');
        }),
      )
      .map((pid) => [pid, lines(`/proc/${pid}/comm`)[0] ?? '?'] as const)
      // They keep descriptors of every path for a moment, and let go of them by themselves.
      .filter(([, name]) => name !== 'multipathd' && !/^\(?(systemd-)?udev/.test(name))
      .map(([pid, name]) => `process ${pid} (${name})`)
  );
}

function lines(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}

// Processes end while they are looked at: what cannot be read is not there.
function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function linkTarget(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}
