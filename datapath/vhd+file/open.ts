import { PluginError } from '../../src/smapi/errors.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { checkImage } from '../image.ts';
import { requireTapCtl } from '../tapdisk/tap-ctl.ts';
import { vhdDisk } from './disk.ts';

/**
 * Datapath.open: checks the URI and its image, and changes nothing.
 *
 * @throws PluginError `NonPersistentUnsupported` for a disk whose writes shall be dropped: xapi has such a
 *   disk as a clone, unless a datapath lists `NONPERSISTENT`. Also `BadUri`, `ImageMissing`, `NotAnImage`, `ToolMissing`.
 */
export const open: Handler<'Datapath.open'> = ({ uri, persistent }) => {
  const { path } = vhdDisk(uri);
  if (!persistent) {
    throw new PluginError(
      'NonPersistentUnsupported',
      `Writes to the image ${path} are always kept; use a clone of the volume for a disk that forgets them.`,
    );
  }
  requireTapCtl();
  checkImage(path, 'vhd');
};
