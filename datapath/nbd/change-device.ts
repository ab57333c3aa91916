/**
 * Changes of NBD devices that are in use: another size, and another connection in place of one that was lost, without
 * an error for those who use them (NBD_CMD_RECONFIGURE of linux/nbd-netlink.h; drivers/block/nbd.c).
 */
import { fstatSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasCommand } from '../../src/find-command.ts';
import { type Attribute, NetlinkRefusal, nested, u32, u64, withFamily } from '../../src/netlink/generic.ts';
import { programName } from '../../src/proc.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { type NbdDevice, nbdPath } from './device.ts';
import { openExport } from './open-export.ts';

const reconfigure = 3;
/** NBD_ATTR_*, NBD_SOCK_ITEM and NBD_SOCK_FD. */
const attributes = { index: 1, size: 2, sockets: 7, deadTimeout: 8, socketItem: 1, socketFd: 1 } as const;

/** Seconds that requests wait for a connection to be there again: longer than any storage is away. */
const holdLimit = 86_400;
/**
 * Milliseconds after which the kernel looks what has become of a request: one that was under way when the connection
 * was lost is sent anew then. 30 s is what it has without us.
 */
const usualLook = 30_000;
const heldLook = 1_000;
/** Milliseconds for the kernel to see that a connection is lost. */
const noticeLimit = 20_000;
const noticePause = 50;

/**
 * Refuses a device that cannot be changed while it is in use.
 *
 * @throws PluginError `VolumeInUse`, `ToolMissing`.
 */
export function requireChangeable(device: NbdDevice, path: string): void {
  // Before anything is done: without it nobody could say that the device is connected again.
  if (!hasCommand('ss')) {
    throw new PluginError(
      'ToolMissing',
      `ss is not installed on this host, and the running disk of the image ${path} cannot grow without it; install iproute2.`,
    );
  }
  const [major = 0, minor = 0] = release().split('.').map(Number);
  const client = Number(device.client);
  // One that ends with its connection was not connected by netlink.
  const isServed = client > 0 && programName(client) === 'nbd-client';
  if (!isServed && (major > 5 || (major === 5 && minor >= 3))) return;
  throw new PluginError(
    'VolumeInUse',
    `The disk of the image ${path} is in use as ${nbdPath(device)}, which can have another size under its users only with Linux 5.3 or later and an nbd-client that uses netlink; shut down or unplug what uses the disk, and repeat the call.`,
  );
}

/** Has requests wait, from now on, when the connection is lost. */
export function holdRequests(device: NbdDevice): void {
  lookAfter(device, heldLook);
  change(device, [u64(attributes.deadTimeout, holdLimit)]);
}

/** Has requests fail again when the connection is lost. */
export function releaseRequests(device: NbdDevice): void {
  change(device, [u64(attributes.deadTimeout, 0)]);
  lookAfter(device, usualLook);
}

/**
 * Gives a device whose connection is lost another one, and the size of what is served there.
 *
 * @throws PluginError `NbdFailed`.
 */
export async function reconnectNbd(device: NbdDevice, name: string): Promise<void> {
  for (const end = performance.now() + noticeLimit; ; await sleep(noticePause)) {
    // The kernel takes it without a word only once it has seen that the other one is lost.
    const inode = offerConnection(device, name);
    if (await isConnectionOf(device.socket, inode)) return;
    if (performance.now() >= end) {
      throw new PluginError('NbdFailed', `The kernel does not connect ${nbdPath(device)} anew; see its log.`);
    }
  }
}

function offerConnection(device: NbdDevice, name: string): number {
  using opened = openExport(device.socket, name);
  const socket = nested(attributes.socketItem, [u32(attributes.socketFd, opened.fd)]);
  change(device, [u64(attributes.size, opened.size), nested(attributes.sockets, [socket])]);
  return fstatSync(opened.fd).ino;
}

/** Whether a server is connected with a socket that is the kernel's alone: by its inode, as ss(8) shows it. */
async function isConnectionOf(server: string, inode: number): Promise<boolean> {
  const { run } = await import('../../src/commands.ts');
  const { stdout } = await run('ss', ['--unix', '--no-header']);
  return stdout.split('\n').some((line) => {
    const fields = line.trim().split(/\s+/);
    return fields.includes(server) && fields.at(-1) === String(inode);
  });
}

function change(device: NbdDevice, changes: readonly Attribute[]): void {
  try {
    withFamily('nbd', (nbd) => nbd.execute(reconfigure, [u32(attributes.index, device.number), ...changes]));
  } catch (error) {
    if (!(error instanceof NetlinkRefusal)) throw error;
    throw new PluginError('NbdFailed', `${nbdPath(device)} cannot be changed: ${error.message}.`, {
      cause: error,
    });
  }
}

function lookAfter(device: NbdDevice, milliseconds: number): void {
  writeFileSync(lookFile(device), `${milliseconds}\n`);
}

function lookFile({ number }: NbdDevice): string {
  return `/sys/block/nbd${number}/queue/io_timeout`;
}
