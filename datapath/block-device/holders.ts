import { listFolder, listProcesses, openFiles, programName, readLines, readText } from '../../src/proc.ts';

/** Says who keeps a block device open, such as `loop3`, for a message: mounts, devices on top of it, processes. */
export function describeHolders(device: string): string {
  const holders = findHolders(device);
  if (holders.length === 0) return 'the kernel (such as the back end of a guest that still runs)';
  const shown = holders.slice(0, 5).join(', ');
  return holders.length > 5 ? `${shown} and ${holders.length - 5} more` : shown;
}

/** Those who keep a block device open, or one of its partitions, as far as a host shows them. */
export function findHolders(device: string): readonly string[] {
  const names = [device, ...partitions(device)];
  return [
    ...names.flatMap(mounts),
    ...names.flatMap(stackedDevices),
    ...names.flatMap(backEnds),
    ...processes(names),
  ];
}

/** Whatever the disk holds, a kernel may have looked for them in it. */
function partitions(device: string): readonly string[] {
  return listFolder(`/sys/block/${device}`).filter((name) => name.startsWith(`${device}p`));
}

function numberOf(device: string): string | undefined {
  return readText(`/sys/class/block/${device}/dev`);
}

function mounts(device: string): readonly string[] {
  const number = numberOf(device);
  return readLines('/proc/self/mountinfo')
    .map((line) => line.split(' '))
    .filter((fields) => fields[2] === number)
    .map((fields) => `the mount at ${fields[4]}`);
}

function stackedDevices(device: string): readonly string[] {
  return listFolder(`/sys/class/block/${device}/holders`).map((holder) => `the device ${holder}`);
}

/** Xen's back ends of guests' disks; they show the device's number in hexadecimal. */
function backEnds(device: string): readonly string[] {
  const number = (numberOf(device) ?? '')
    .split(':')
    .map((part) => Number(part).toString(16))
    .join(':');
  const folder = '/sys/bus/xen-backend/devices';
  return listFolder(folder)
    .filter((name) => readText(`${folder}/${name}/physical_device`) === number)
    .map((name) => `the guest's disk ${name}`);
}

function processes(devices: readonly string[]): readonly string[] {
  const nodes = new Set(devices.map((device) => `/dev/${device}`));
  return listProcesses()
    .filter((pid) => pid !== process.pid && openFiles(pid).some((file) => nodes.has(file)))
    .map((pid) => `process ${pid} (${programName(pid) ?? '?'})`);
}
