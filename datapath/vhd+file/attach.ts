import type { Handler } from '../../src/smapi/interface.ts';
import { checkImage } from '../image.ts';
import { requireTapCtl } from '../tapdisk/tap-ctl.ts';
import { vhdDisk } from './disk.ts';
import { listImplementations } from './implementations.ts';

/**
 * Datapath.attach: says where the disk will be once it is active. Keeps nothing, so it may be repeated, on
 * several hosts at once, and needs no open before.
 *
 * @returns an NBD server's socket; for guests tapback's back end by that socket where it runs, or else, where the kernel
 * has NBD devices, a block device by a path that is there while the disk is active.
 * @throws PluginError `BadUri`, `ImageMissing`, `NotAnImage`, `ToolMissing`.
 */
export const attach: Handler<'Datapath.attach'> = async ({ uri }) => {
  const { path, key } = vhdDisk(uri);
  requireTapCtl();
  checkImage(path, 'vhd');
  return { implementations: await listImplementations(key) };
};
