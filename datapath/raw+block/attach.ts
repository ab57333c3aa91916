import type { Handler } from '../../src/smapi/interface.ts';
import { deviceLink } from '../device-link.ts';
import { diskOf } from '../disk.ts';
import { rawBlockDriver, requireDevice } from './driver.ts';

/**
 * Datapath.attach: says where the disk will be once it is active. Keeps nothing, so it may be repeated, on
 * several hosts at once, and needs no open before.
 *
 * @returns a block device by a path that is there while the disk is active: for blkback and for dom0.
 * @throws PluginError `BadUri`, `ImageMissing`, `NotAnImage`.
 */
export const attach: Handler<'Datapath.attach'> = ({ uri }) => {
  const { path, key } = diskOf(rawBlockDriver.scheme, uri);
  requireDevice(path);
  const device = deviceLink(key);
  return {
    implementations: [
      ['XenDisk', { params: device, extra: {}, backend_type: 'vbd' }],
      ['BlockDevice', { path: device }],
    ],
  };
};
