import { PluginError } from '../../src/smapi/errors.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { diskOf } from '../disk.ts';
import { rawBlockDriver, requireDevice } from './driver.ts';

/**
 * Datapath.open: checks the URI and its device, and changes nothing.
 *
 * @throws PluginError `NonPersistentUnsupported` for a disk whose writes shall be dropped. Also `BadUri`,
 *   `ImageMissing`, `NotAnImage`.
 */
export const open: Handler<'Datapath.open'> = ({ uri, persistent }) => {
  const { path } = diskOf(rawBlockDriver.scheme, uri);
  if (!persistent) {
    throw new PluginError(
      'NonPersistentUnsupported',
      `Writes to the device ${path} are always kept; use a clone of the volume for a disk that forgets them.`,
    );
  }
  requireDevice(path);
};
