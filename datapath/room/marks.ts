/** How much room a filesystem must have for disks to be written. */

/** Room of a filesystem, in bytes. */
export interface Room {
  readonly free: number;
  readonly total: number;
}

/** Bytes that are free when disks are paused (`low`), and when they go on (`high`). */
export interface RoomMarks {
  readonly low: number;
  readonly high: number;
}

/** The headroom, as a part of the filesystem, and at most. */
const part = 16;
const most = 2 * 2 ** 30;

/** Bytes a second that all hosts together are taken to write at most. */
const fastest = 4 * 2 ** 30;
/**
 * Of the time in which the headroom could be reached, a look comes after this part: what others wrote is known only
 * after their look and this host's.
 */
const share = 1 / 3;
/** Milliseconds between two looks. */
const soonest = 20;
const latest = 5_000;

/**
 * The marks of a filesystem. What is left at the low one is for what is under way when a disk is paused, for the last
 * writes of disks that are let go, and for merges; between the two nothing changes, so that disks do not go on for
 * a moment only.
 */
export function roomMarks(total: number): RoomMarks {
  const low = Math.min(total / part, most);
  return { low, high: 1.5 * low };
}

/** Milliseconds until the room of a filesystem must be looked at again. */
export function untilNextLook({ free, total }: Room): number {
  const wait = ((free - roomMarks(total).low) / fastest) * share * 1_000;
  return Math.min(Math.max(wait, soonest), latest);
}
