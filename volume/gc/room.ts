import { listHeldParts } from '../../src/vhd/header.ts';
import { allocatedSize } from '../images/allocation.ts';
import { type Extent, mapAllocation } from '../images/allocation-map.ts';
import { imageFile } from '../layout/sr-folder.ts';
import type { MergeImages } from './candidates.ts';

/** For tables of images and of the filesystem, in bytes. */
const margin = 512n << 10n;
/** Tables take this part of what they are about, at most. */
const tablesPart = 256n;

/**
 * The bytes that a merge needs on the storage: for what the child holds where the parent holds nothing. What the parent
 * holds as well is written in place.
 *
 * The child's own size is an upper limit, so that the tables of images are read only where room is short.
 *
 * @param free bytes; what is not more than that may be more than is needed.
 * @throws as mapAllocation.
 */
export async function roomFor(folder: string, { parent, child }: MergeImages, free: bigint): Promise<bigint> {
  const childFile = imageFile(folder, child);
  const most = withTables(allocatedSize(childFile) ?? 0n);
  if (most <= free) return most;
  const own = await mapOwn(childFile, child.format);
  const there = await mapOwn(imageFile(folder, parent), parent.format);
  const beyond = BigInt(countBeyond(own, there));
  return beyond === 0n ? 0n : withTables(beyond);
}

function withTables(bytes: bigint): bigint {
  return bytes + bytes / tablesPart + margin;
}

async function mapOwn(file: string, format: string): Promise<readonly Pick<Extent, 'start' | 'length'>[]> {
  if (format === 'vhd') return listHeldParts(file);
  return (await mapAllocation(file, format)).filter(({ depth, data }) => depth === 0 && data);
}

/** The bytes of some parts of a disk that are in none of others. Both are in order, and each without overlaps. */
function countBeyond(
  parts: readonly Pick<Extent, 'start' | 'length'>[],
  others: readonly Pick<Extent, 'start' | 'length'>[],
): number {
  let beyond = 0;
  let next = 0;
  for (const { start, length } of parts) {
    const end = start + length;
    beyond += length;
    while (next < others.length && endOf(others[next]) <= start) next++;
    for (let index = next; index < others.length; index++) {
      const other = others[index] as Pick<Extent, 'start' | 'length'>;
      if (other.start >= end) break;
      beyond -= Math.min(end, endOf(other)) - Math.max(start, other.start);
    }
  }
  return beyond;
}

function endOf(part: Pick<Extent, 'start' | 'length'> | undefined): number {
  return part === undefined ? 0 : part.start + part.length;
}
