/**
 * The superblock of gfs2, read without mounting.
 *
 * Format: the kernel's include/uapi/linux/gfs2_ondisk.h (struct gfs2_sb), big-endian.
 */

/** Where the superblock lies, in bytes from the start of the LUN. */
export const superblockOffset = 65536;
/** How much of it there is to read, in bytes; a whole number of 4096-byte blocks. */
export const superblockLength = 4096;

const magic = 0x01161970;
const superblockType = 1;

/** What a gfs2 says of itself. */
export interface Gfs2Superblock {
  /** Bytes. */
  readonly blockSize: number;
  /** `lock_dlm` for a cluster, `lock_nolock` for one host. */
  readonly lockProtocol: string;
  /** `<cluster>:<filesystem>`, or empty. */
  readonly lockTable: string;
  /** In the usual form with dashes. */
  readonly uuid: string;
}

/**
 * Decodes a superblock.
 *
 * @param block at least the first 272 bytes of it.
 * @returns undefined where there is no gfs2.
 */
export function decodeSuperblock(block: Uint8Array): Gfs2Superblock | undefined {
  if (block.length < 272) return undefined;
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  if (view.getUint32(0) !== magic || view.getUint32(4) !== superblockType) return undefined;
  const uuid = Buffer.from(block.subarray(256, 272)).toString('hex');
  return {
    blockSize: view.getUint32(36),
    lockProtocol: text(block.subarray(96, 160)),
    lockTable: text(block.subarray(160, 224)),
    uuid: uuid.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
  };
}

/** Bytes that a superblock has for the lock table, with a NUL at the end. */
const tableLength = 64;

/**
 * Puts another lock table into a superblock; no host may have the filesystem mounted. The superblock has no
 * checksum.
 *
 * @param block as for {@link decodeSuperblock}.
 * @returns the new bytes, as many as `block` has.
 */
export function withLockTable(block: Uint8Array, lockTable: string): Uint8Array {
  const name = Buffer.from(lockTable);
  if (decodeSuperblock(block) === undefined || name.length >= tableLength) {
    throw new RangeError('not a superblock, or a lock table of too many bytes');
  }
  const changed = Buffer.from(block);
  changed.fill(0, 160, 160 + tableLength);
  name.copy(changed, 160);
  return changed;
}

/** The parts of a lock table: the cluster, and the filesystem's name, which is that of its lockspace. */
export function splitLockTable(lockTable: string): { readonly cluster: string; readonly filesystem: string } {
  const colon = lockTable.indexOf(':');
  return colon === -1
    ? { cluster: lockTable, filesystem: '' }
    : { cluster: lockTable.slice(0, colon), filesystem: lockTable.slice(colon + 1) };
}

/** The name in a lock table of the filesystem of an SR. */
export function filesystemName(uuid: string): string {
  return uuid.replaceAll('-', '').slice(0, 16);
}

/** The name that the filesystem of an SR has until SR.create has put its claim beside it. */
export const unfinishedFilesystem = 'unfinished';

function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end === -1 ? bytes : bytes.subarray(0, end)).toString('utf8');
}
