import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Says who keeps a block device open, such as `loop3`, for a message: mounts, devices on top of it, processes. */
export function describeHolders(device: string): string {
  const holders = findHolders(device);
  if (holders.length === 0) return 'the kernel (such as the back end of a guest that still runs)';
  const shown = holders.slice(0, 5).join(', ');
  return holders.length > 5 ? `${shown} and ${holders.length - 5} more` : shown;
}

/** Those who keep a block device open, as far as a host shows them. */
export function findHolders(device: string): readonly string[] {
  return [...mounts(device), ...stackedDevices(device), ...backEnds(device), ...processes(device)];
}

function mounts(device: string): readonly string[] {
  const number = readLines(`/sys/block/${device}/dev`)[0];
  return readLines('/proc/self/mountinfo')
    .map((line) => line.split(' '))
    .filter((fields) => fields[2] === number)
    .map((fields) => `the mount at ${fields[4]}`);
}

function stackedDevices(device: string): readonly string[] {
  return list(`/sys/block/${device}/holders`).map((holder) => `the device ${holder}`);
}

/** Xen's back ends of guests' disks; they show the device's number in hexadecimal. */
function backEnds(device: string): readonly string[] {
  const number = (readLines(`/sys/block/${device}/dev`)[0] ?? '')
    .split(':')
    .map((part) => Number(part).toString(16))
    .join(':');
  const folder = '/sys/bus/xen-backend/devices';
  return list(folder)
    .filter((name) => readLines(`${folder}/${name}/physical_device`)[0] === number)
    .map((name) => `the guest's disk ${name}`);
}

function processes(device: string): readonly string[] {
  const node = `/dev/${device}`;
  return list('/proc')
    .filter((entry) => /^[0-9]+$/.test(entry) && Number(entry) !== process.pid)
    .filter((pid) => list(`/proc/${pid}/fd`).some((fd) => linkTarget(`/proc/${pid}/fd/${fd}`) === node))
    .map((pid) => `process ${pid} (${readLines(`/proc/${pid}/comm`)[0] ?? '?'})`);
}

// Processes end while they are looked at: what cannot be read is not there.
function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function readLines(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
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
