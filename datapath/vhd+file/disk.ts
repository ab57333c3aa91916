import { PluginError } from '../../src/smapi/errors.ts';
import { type Disk, diskOf } from '../disk.ts';
import { vhdFileDriver } from './driver.ts';

/**
 * The disk of a URI.
 *
 * @throws PluginError `BadUri` also for a sharable disk: only one host can write to a vhd image.
 */
export function vhdDisk(uri: string): Disk {
  const disk = diskOf(vhdFileDriver.scheme, uri);
  if (!disk.sharable) return disk;
  throw new PluginError(
    'BadUri',
    `The URI ${uri} is of a sharable disk, which cannot be in vhd: only one host can write to such an image; use a raw one.`,
  );
}
