/**
 * The path of a disk's block device. Which device serves a disk is known only once it is active, and
 * attach must answer before: so it answers a symbolic link of a fixed name, which is there while the disk
 * is active. xapi's block script and xenopsd resolve links before they read the device number.
 */
import { mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { hostPaths } from '../src/host-paths.ts';

/** The link's path, for an image's key. */
export function deviceLink(key: string): string {
  return join(hostPaths.run, 'device', key);
}

/** Points the link to a device; it never points elsewhere meanwhile. */
export function pointDeviceLink(key: string, device: string): void {
  const link = deviceLink(key);
  if (target(link) === device) return;
  mkdirSync(dirname(link), { recursive: true, mode: 0o755 });
  rmSync(`${link}.new`, { force: true });
  symlinkSync(device, `${link}.new`);
  renameSync(`${link}.new`, link);
}

/** Removes the link. */
export function removeDeviceLink(key: string): void {
  const link = deviceLink(key);
  rmSync(link, { force: true });
  rmSync(`${link}.new`, { force: true });
}

function target(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}
