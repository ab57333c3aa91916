/** What is wrong with an SR's disks: they are paused for want of room, or have lost their processes. */
import {
  listLostDisks,
  listPausedDisks,
  roomMarks,
  type WrittenDisk,
} from '../../datapath/live-control/disk-states.ts';
import { imagesFolder } from '../layout/sr-folder.ts';
import type { Space } from '../providers/provider.ts';
import type { AttachedSr } from './attached.ts';

/** The images of an SR whose disks are paused on this host until there is room. */
export function listPausedImages(sr: Pick<AttachedSr, 'path'>): readonly string[] {
  return ofSr(sr, listPausedDisks());
}

function ofSr(sr: Pick<AttachedSr, 'path'>, disks: readonly WrittenDisk[]): readonly string[] {
  return disks.map(({ path }) => path).filter((path) => path.startsWith(`${imagesFolder(sr.path)}/`));
}

/** What is to be said of an SR's disks whose processes have ended under those who use them. */
export function describeLostDisks(sr: Pick<AttachedSr, 'path'>): string | undefined {
  const lost = ofSr(sr, listLostDisks());
  if (lost.length === 0) return undefined;
  const more = lost.length === 1 ? '' : ` and ${lost.length - 1} more`;
  return `The process of the running disk of ${lost[0]}${more} has ended, and what uses it gets I/O errors: it cannot go on with it, as what it wrote since its last flush may be lost. Shut that down by force, and start it again.`;
}

/** What is to be said of an SR's room, in sentences; undefined where there is enough, and all disks run. */
export function describeRoom(sr: Pick<AttachedSr, 'path' | 'uuid'>, space: Space): string | undefined {
  const paused = listPausedImages(sr).length;
  const { low, high } = roomMarks(Number(space.total));
  if (paused === 0 && Number(space.free) >= low) return undefined;
  const disks =
    paused === 0
      ? 'Disks in qcow2 and vhd that are written are paused'
      : `${paused === 1 ? 'One running disk is' : `${paused} running disks are`} paused on this host`;
  return `The SR is full, with ${mebibytes(space.free)} left. ${disks} until ${mebibytes(BigInt(Math.ceil(high)))} are free; disks in raw cannot be, and get errors when nothing is left. Destroy snapshots or volumes and run gfs2-sr gc run ${sr.uuid}, or grow the SR.`;
}

/** An amount of bytes, for people. */
export function mebibytes(bytes: bigint): string {
  return `${bytes >> 20n} MiB`;
}
