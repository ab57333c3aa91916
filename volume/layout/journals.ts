/** The journals of an SR's filesystem, and so the least LUN for an SR. */

/**
 * One for each host that may have the SR attached at once; more are added with gfs2_jadd, which needs room
 * on the filesystem.
 */
export const journalCount = 16;

const mebibyte = 1_048_576n;
/** mkfs.gfs2 makes none smaller. */
const least = 8n;
/** The default of mkfs.gfs2 for big devices; a bigger one only takes longer to replay. */
const most = 128n;
/**
 * Journals take at most this part of a LUN, where their least size lets them: the rest is for volumes, and
 * mkfs.gfs2 writes every block of every journal.
 */
const part = 32n;

/**
 * Bytes of the smallest LUN for an SR. mkfs.gfs2 needs 256 MiB for these journals and what is around them
 * on a device that tells of no alignment; this leaves room for more, and for at least some volumes.
 */
export const leastSrSize = 512n * mebibyte;

/** The size of each journal, in MiB, on a LUN of `bytes`. */
export function journalSize(bytes: bigint): number {
  const fitting = bytes / part / BigInt(journalCount) / mebibyte;
  return Number(fitting < least ? least : fitting > most ? most : fitting);
}
