import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Says who keeps a loop device open, for a message: mounts, devices on top of it, processes. */
export function describeHolders(number: number): string {
  const holders = [...mounts(number), ...stackedDevices(number), ...processes(number)];
  if (holders.length === 0) return 'the kernel (such as the back end of a guest that still runs)';
  const shown = holders.slice(0, 5).join(', ');
  return holders.length > 5 ? `${shown} and ${holders.length - 5} more` : shown;
}

/** The major number of loop devices. */
const loopMajor = 7;

function mounts(number: number): readonly string[] {
  return readLines('/proc/self/mountinfo')
    .map((line) => line.split(' '))
    .filter((fields) => fields[2] === `${loopMajor}:${number}`)
    .map((fields) => `the mount at ${fields[4]}`);
}

function stackedDevices(number: number): readonly string[] {
  return list(`/sys/block/loop${number}/holders`).map((device) => `the device ${device}`);
}

function processes(number: number): readonly string[] {
  const device = `/dev/loop${number}`;
  return list('/proc')
    .filter((entry) => /^[0-9]+$/.test(entry) && Number(entry) !== process.pid)
    .filter((pid) => list(`/proc/${pid}/fd`).some((fd) => linkTarget(`/proc/${pid}/fd/${fd}`) === device))
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
