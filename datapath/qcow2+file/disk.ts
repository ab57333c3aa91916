import { PluginError } from '../../src/smapi/errors.ts';
import { type Disk, diskOf } from '../disk.ts';
import { qcow2FileDriver } from './driver.ts';

/**
 * The disk of a URI.
 *
 * @throws PluginError `BadUri` also for a sharable disk: only one host can write to a qcow2 image.
 */
export function qcow2Disk(uri: string): Disk {
  const disk = diskOf(qcow2FileDriver.scheme, uri);
  if (!disk.sharable) return disk;
  throw new PluginError(
    'BadUri',
    `The URI ${uri} is of a sharable disk, which cannot be in qcow2: only one host can write to such an image; use a raw one.`,
  );
}
