import type { Handler, Result } from '../../src/smapi/interface.ts';
import { deviceLink } from '../device-link.ts';
import { checkImage } from '../image.ts';
import { hasNbdDevices } from '../nbd/device.ts';
import { diskNode } from '../qemu/block-nodes.ts';
import { processPlaces } from '../qemu/places.ts';
import { qcow2Disk } from './disk.ts';

/** One way to a disk. */
type Implementation = Result<'Datapath.attach'>['implementations'][number];

/**
 * Datapath.attach: says where the disk will be once it is active. Keeps nothing, so it may be repeated, on
 * several hosts at once, and needs no open before.
 *
 * @returns an NBD server's socket; where the kernel has NBD devices also a block device by a path that is there while
 * the disk is active, for blkback and for dom0. A guest needs that one: QEMU's own back end knows no NBD server.
 * @throws PluginError `BadUri`, `ImageMissing`, `NotAnImage`.
 */
export const attach: Handler<'Datapath.attach'> = async ({ uri }) => {
  const { path, key } = qcow2Disk(uri);
  checkImage(path, 'qcow2');
  const device = deviceLink(key);
  const block: readonly Implementation[] = (await hasNbdDevices())
    ? [
        ['XenDisk', { params: device, extra: {}, backend_type: 'vbd' }],
        ['BlockDevice', { path: device }],
      ]
    : [];
  const socket: Implementation = [
    'Nbd',
    { uri: `nbd:unix:${processPlaces(key).nbd}:exportname=${diskNode}` },
  ];
  return { implementations: [...block, socket] };
};
