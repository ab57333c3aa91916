import { loadProvider } from '../../volume/providers/provider.ts';
import { findAttached, listAttached } from '../../volume/sr/attached.ts';
import {
  describeLostDisks,
  describeRoom,
  listPausedImages,
  mebibytes,
} from '../../volume/sr/running-disks.ts';
import { readFlags, type Terminal } from '../command.ts';

/** `gfs2-sr sr status` */
export async function status(args: readonly string[], { print }: Terminal): Promise<void> {
  readFlags(args, []);
  for (const uuid of listAttached()) {
    const sr = findAttached(uuid);
    if (sr === undefined) continue;
    // First, for it needs no answer of the storage.
    for (const image of listPausedImages(sr)) print(`${uuid}: paused ${image}`);
    const lost = describeLostDisks(sr);
    if (lost !== undefined) print(`${uuid}: ${lost}`);
    try {
      const { space, health } = await loadProvider(sr.provider);
      const storage = await health?.(sr);
      if (storage?.usable === false) {
        print(`${uuid}: ${storage.health.join(': ')}`);
        continue;
      }
      const room = space(sr);
      print(`${uuid}: ${mebibytes(room.free)} of ${mebibytes(room.total)} free`);
      const said = describeRoom(sr, room);
      if (said !== undefined) print(`${uuid}: ${said}`);
    } catch (error) {
      print(`${uuid}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
