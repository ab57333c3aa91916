/**
 * Block devices of the kernel's NBD client (nbd.ko), which dom0's other block drivers and Xen's blkback use.
 *
 * nbd-client connects them: by netlink, so that no process stays for one, where it and the kernel can (Linux 4.12).
 */
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, realpathSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitsFor } from '../../src/deadline.ts';
import { hasCommand } from '../../src/find-command.ts';
import { hostPaths } from '../../src/host-paths.ts';
import { lock } from '../../src/locks/flock.ts';
import { programName, readLines, readText } from '../../src/proc.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { describeHolders, findHolders } from '../block-device/holders.ts';

/** Milliseconds that a call waits for others to choose their devices, and for the kernel to do as it was told. */
const chooseTimeout = 30_000;
const kernelTimeout = 5_000;
/** Milliseconds for one run of nbd-client, and for as many as it may take. */
const clientTimeout = 10_000;
const connectLimit = 60_000;

/** A device that is connected to a server of ours, or was about to be. */
export interface NbdDevice {
  readonly number: number;
  /** Bytes of the disk. */
  readonly size: number;
  /** Of its server, or a link to that. */
  readonly socket: string;
  /** What the kernel shows of who connected it; undefined until that is known. */
  readonly client?: string;
}

/** `/dev/nbd<number>`. */
export function nbdPath({ number }: NbdDevice): string {
  return `/dev/${nameOf(number)}`;
}

/**
 * Whether this host has NBD devices and what connects them; loads the kernel's module where needed.
 *
 * @param load whether to try that.
 */
export async function hasNbdDevices(load = true): Promise<boolean> {
  if (!hasCommand('nbd-client')) return false;
  if (existsSync('/sys/module/nbd') || !load) return existsSync('/sys/module/nbd');
  try {
    const { run } = await import('../../src/commands.ts');
    // No partitions: their users would not be seen as the disk's, and what is in a guest's disk is the guest's.
    await run('modprobe', ['nbd', 'max_part=0']);
  } catch {
    // A kernel without it.
  }
  return existsSync('/sys/module/nbd');
}

/**
 * Connects a device that is nobody's to a server.
 *
 * @param socket of the server; `name` is that of its export, and `size` its bytes.
 * @param onChosen told the device before it is connected, so that a record can lead to it.
 * @throws PluginError `NbdFailed`.
 */
export async function connectNbd(
  { socket, name, size, readOnly }: NbdServer,
  onChosen: (device: NbdDevice) => void,
): Promise<NbdDevice> {
  // Disks that are activated at once would all choose the same one.
  const choosing = openSync(join(makeFolder(), 'nbd.lock'), 'a', 0o600);
  try {
    waitsFor('an NBD device to be connected', chooseTimeout + connectLimit);
    await lock(choosing, 'exclusive', chooseTimeout, 'the choice of an NBD device');
    let why = '';
    for (const number of candidates()) {
      const device: NbdDevice = { number, size, socket };
      onChosen(device);
      const args = ['-unix', socket, nbdPath(device), '-name', name, '-block-size', '512', ...patience()];
      const failure = await nbdClient([...args, ...(readOnly ? ['-readonly'] : [])]);
      if (failure === undefined) return await settle(device);
      // Another program may have been quicker.
      why = failure;
      if (clientOf(number) === undefined) break;
    }
    throw new PluginError('NbdFailed', `No NBD device could be connected: ${why || 'none is free'}.`);
  } finally {
    closeSync(choosing);
  }
}

/** An export to connect to. */
export interface NbdServer {
  readonly socket: string;
  readonly name: string;
  readonly size: number;
  readonly readOnly: boolean;
}

/** Whether a device is still what a record says. */
export function isConnected({ number, size, socket, client }: NbdDevice): boolean {
  const now = clientOf(number);
  if (now === undefined) return false;
  if (client !== undefined) return now === client;
  // Chosen when it was free, by a call that died before it saw whether it had it: another disk of the same size may
  // have got it since then, but then nobody is connected to this one's server.
  return (
    sizeOf(number) === size &&
    countClients(socket) > 0 &&
    (!existsSync(`/proc/${now}`) || programName(Number(now)) === 'nbd-client')
  );
}

/** How many are connected to a server's socket (proc_net(5): the state 03). */
export function countClients(socket: string): number {
  let path = socket;
  try {
    path = realpathSync(socket);
  } catch {
    // It has no name any more, but those who had come before are still shown by it.
  }
  return readLines('/proc/net/unix').filter((line) => {
    const fields = line.trim().split(/\s+/);
    return fields[5] === '03' && fields.slice(7).join(' ') === path;
  }).length;
}

/**
 * Disconnects a device if it is still what the record says, and waits until it is free.
 *
 * @param timeout milliseconds that those who keep it open have to close it.
 * @throws PluginError `DeviceInUse` saying by whom.
 */
export async function disconnectNbd(device: NbdDevice, timeout: number): Promise<void> {
  const name = nameOf(device.number);
  const end = performance.now() + timeout;
  // The kernel would disconnect it under its users, whose I/O would fail.
  while (isConnected(device) && findHolders(name).length > 0) {
    if (performance.now() >= end) {
      throw new PluginError(
        'DeviceInUse',
        `/dev/${name} is still in use by ${describeHolders(name)}; end that use and repeat the call.`,
      );
    }
    await sleep(20);
  }
  if (await dropNbd(device)) return;
  throw new PluginError(
    'DeviceInUse',
    `The kernel does not let go of /dev/${name}, which ${describeHolders(name)} has open; see its log and repeat the call.`,
  );
}

/**
 * Disconnects a device whoever uses it: all its I/O fails from then on.
 *
 * @returns whether it is free; otherwise it is once its last user has closed it, and nobody is given it before.
 */
export async function dropNbd(device: NbdDevice, timeout = kernelTimeout): Promise<boolean> {
  if (!isConnected(device)) return true;
  await nbdClient(['-d', nbdPath(device)]);
  for (const end = performance.now() + timeout; isConnected(device); await sleep(5)) {
    if (performance.now() >= end) return false;
  }
  return true;
}

/**
 * A disk may be paused for long. The kernel waits as long as it takes, but from Linux 4.9 to 5.3, where without a limit
 * it gives requests up after 30 s (drivers/block/nbd.c, nbd_xmit_timeout).
 */
function patience(): readonly string[] {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  const isShort = (major === 4 && minor >= 9) || (major === 5 && minor < 4);
  // As many seconds as ticks fit into 32 bits, at 1000 a second.
  return isShort ? ['-timeout', '1000000'] : [];
}

/** Devices that nobody has, and then one that the kernel makes. */
function candidates(): readonly number[] {
  const all = readdirSync('/sys/block').flatMap((name) => {
    const number = /^nbd([0-9]+)$/.exec(name)?.[1];
    return number === undefined ? [] : [Number(number)];
  });
  const free = all
    .toSorted((a, b) => a - b)
    .filter((number) => clientOf(number) === undefined && findHolders(nameOf(number)).length === 0);
  return [...free, Math.max(-1, ...all) + 1];
}

/** Waits until a device has its size, which must be the disk's. */
async function settle(device: NbdDevice): Promise<NbdDevice> {
  const end = performance.now() + kernelTimeout;
  for (;;) {
    const client = clientOf(device.number);
    const size = sizeOf(device.number);
    if (client !== undefined && size === device.size) return { ...device, client };
    if (performance.now() >= end) {
      if (client !== undefined) await dropNbd({ ...device, client });
      throw new PluginError(
        'NbdFailed',
        `${nbdPath(device)} has ${size} bytes, and not the ${device.size} of its disk.`,
      );
    }
    await sleep(5);
  }
}

/** Runs nbd-client; answers why it failed. */
async function nbdClient(args: readonly string[]): Promise<string | undefined> {
  const { CommandError, run } = await import('../../src/commands.ts');
  try {
    await run('nbd-client', args, { timeout: clientTimeout });
    return undefined;
  } catch (error) {
    if (error instanceof CommandError) return error.message;
    throw error;
  }
}

function makeFolder(): string {
  mkdirSync(hostPaths.run, { recursive: true, mode: 0o755 });
  return hostPaths.run;
}

function nameOf(number: number): string {
  return `nbd${number}`;
}

/** The process that connected a device, as the kernel shows it while that lasts. */
function clientOf(number: number): string | undefined {
  return readText(`/sys/block/${nameOf(number)}/pid`);
}

function sizeOf(number: number): number {
  return Number(readText(`/sys/block/${nameOf(number)}/size`) ?? 0) * 512;
}
