/** Sets of blocks of a disk, from parts of it in bytes. */

/** A part of a disk, in bytes. */
export interface ByteRange {
  readonly start: number;
  readonly length: number;
}

/**
 * The blocks that some parts of a disk touch, as [first block, number of blocks], in order and apart.
 *
 * @param size bytes of the disk; what is behind its end is left out.
 */
export function toBlockRanges(
  parts: readonly ByteRange[],
  blockSize: number,
  size: number,
): readonly (readonly [number, number])[] {
  const ranges: [number, number][] = [];
  for (const { start, length } of parts.toSorted((a, b) => a.start - b.start)) {
    const end = Math.min(start + length, size);
    if (end <= start) continue;
    const first = Math.floor(start / blockSize);
    const behind = Math.ceil(end / blockSize);
    const last = ranges.at(-1);
    if (last !== undefined && first <= last[0] + last[1]) last[1] = Math.max(last[1], behind - last[0]);
    else ranges.push([first, behind - first]);
  }
  return ranges;
}
