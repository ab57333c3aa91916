import { PluginError } from '../../src/smapi/errors.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { checkImage } from '../image.ts';
import { qcow2Disk } from './disk.ts';

/**
 * Datapath.open: checks the URI and its image, and changes nothing.
 *
 * @throws PluginError `NonPersistentUnsupported` for a disk whose writes shall be dropped: xapi has such a
 *   disk as a clone, unless a datapath lists `NONPERSISTENT`. Also `BadUri`, `ImageMissing`, `NotAnImage`.
 */
export const open: Handler<'Datapath.open'> = ({ uri, persistent }) => {
  const { path } = qcow2Disk(uri);
  if (!persistent) {
    throw new PluginError(
      'NonPersistentUnsupported',
      `Writes to the image ${path} are always kept; use a clone of the volume for a disk that forgets them.`,
    );
  }
  checkImage(path, 'qcow2');
};
