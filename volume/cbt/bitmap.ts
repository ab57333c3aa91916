/** Sets of blocks of a disk, as the interface has them: a bit a block, the first block in the highest bit of the first byte. */
import { deflateSync, inflateSync } from 'node:zlib';
import type { ByteRange } from '../images/block-ranges.ts';

/**
 * Bytes of a block. xapi-storage-script passes the bitmap on without its granularity, and what reads it takes it for
 * this: it is what XenServer's other SRs have always had.
 */
export const blockSize = 65_536;

/** The set of blocks that some parts of a disk touch; `size` is the disk's, in bytes, and the set has no block behind it. */
export function toBitmap(parts: readonly ByteRange[], size: number): Uint8Array {
  const blocks = Math.ceil(size / blockSize);
  const bitmap = new Uint8Array(Math.ceil(blocks / 8));
  for (const { start, length } of parts) {
    if (length <= 0) continue;
    setRange(
      bitmap,
      Math.floor(start / blockSize),
      Math.min(Math.ceil((start + length) / blockSize), blocks),
    );
  }
  return bitmap;
}

/** The blocks of any of some sets; they may be of disks of several sizes. */
export function unite(bitmaps: readonly Uint8Array[]): Uint8Array {
  const united = new Uint8Array(Math.max(0, ...bitmaps.map(({ length }) => length)));
  for (const bitmap of bitmaps) {
    for (let at = 0; at < bitmap.length; at++) united[at] = byteOf(united, at) | byteOf(bitmap, at);
  }
  return united;
}

/** The blocks from `first` to before `end`, as a set that begins with `first`. */
export function cut(bitmap: Uint8Array, first: number, end: number): Uint8Array {
  const count = Math.max(0, end - first);
  const part = new Uint8Array(Math.ceil(count / 8));
  const from = first >> 3;
  const shift = first & 7;
  for (let at = 0; at < part.length; at++) {
    part[at] = (byteOf(bitmap, from + at) << shift) | (byteOf(bitmap, from + at + 1) >> (8 - shift));
  }
  const rest = count & 7;
  if (rest !== 0) part[part.length - 1] = byteOf(part, part.length - 1) & (0xff00 >> rest);
  return part;
}

function byteOf(bitmap: Uint8Array, at: number): number {
  return bitmap[at] ?? 0;
}

/** Whether a set has a block. */
export function has(bitmap: Uint8Array, block: number): boolean {
  return (byteOf(bitmap, block >> 3) & (0x80 >> (block & 7))) !== 0;
}

/** As the catalog keeps it: compressed, with zlib's checksum. */
export function pack(bitmap: Uint8Array): Uint8Array {
  return deflateSync(bitmap);
}

/** @throws Error for what {@link pack} has not made. */
export function unpack(packed: Uint8Array): Uint8Array {
  return inflateSync(packed);
}

function setRange(bitmap: Uint8Array, first: number, end: number): void {
  for (let block = first; block < end; ) {
    if ((block & 7) === 0 && end - block >= 8) {
      // Whole bytes: a disk of 16 TiB has 268 million blocks.
      const bytes = (end - block) >> 3;
      bitmap.fill(0xff, block >> 3, (block >> 3) + bytes);
      block += bytes * 8;
    } else {
      bitmap[block >> 3] = byteOf(bitmap, block >> 3) | (0x80 >> (block & 7));
      block++;
    }
  }
}
