/**
 * qcow2 images that hold nothing yet: docs/interop/qcow2.txt of QEMU. Integers are big-endian.
 *
 * - 128 KiB clusters with 32 subclusters of 4 KiB (`extended_l2`, QEMU 5.2 and later): the first write to a
 *   part of a child copies 4 KiB from its parent instead of a cluster, while the tables of 16 TiB stay as small as
 *   with 64 KiB clusters. A subcluster is a block of gfs2, so that images are as thin as their guests' writes.
 * - Reference counts are written at once (no `lazy_refcounts`): an image of a host that died needs no repair
 *   before it can be opened.
 * - Nothing is allocated ahead: images are made in constant time, and are thin.
 *
 * They are written here, and not by qemu-img, which takes longer to start than all else that a snapshot does.
 */
import { ftruncateSync, writeSync } from 'node:fs';
import type { Backing } from './header.ts';

const clusterBits = 17;
const cluster = 1 << clusterBits;
/** Of 16 bytes each, as every cluster has subclusters. */
const l2Entries = cluster / 16;
/** Bytes of the disk that one entry of the first table stands for. */
const perL1Entry = BigInt(cluster) * BigInt(l2Entries);

const headerLength = 112;
/** Integers of 2^4 bits count the references of a cluster. */
const refcountOrder = 4;
const extendedL2 = 1n << 4n;
const backingFormatExtension = 0xe2792aca;

/** Where things are, in clusters: the header, the table of blocks of reference counts, its one block, the first table. */
const [refcountTable, refcountBlock, l1Table, used] = [1, 2, 3, 4];

/**
 * Writes an image that reads as zeros, or as its parent, to an empty file.
 *
 * @param size bytes of the disk, at most 16 TiB, so that its first table fits into a cluster.
 */
export function writeEmptyImage(fd: number, size: bigint, backing?: Backing): void {
  writeSync(fd, formHeader(size, backing), 0, undefined, 0);
  const block = Buffer.alloc(8);
  block.writeBigUInt64BE(BigInt(refcountBlock * cluster));
  writeSync(fd, block, 0, undefined, refcountTable * cluster);
  const counts = Buffer.alloc(2 * used);
  for (let index = 0; index < used; index++) counts.writeUInt16BE(1, 2 * index);
  writeSync(fd, counts, 0, undefined, refcountBlock * cluster);
  // The rest is zeros, which take no room.
  ftruncateSync(fd, used * cluster);
}

function formHeader(size: bigint, backing: Backing | undefined): Buffer {
  const header = Buffer.alloc(headerLength);
  header.write('QFI\xfb', 0, 'latin1');
  header.writeUInt32BE(3, 4);
  header.writeUInt32BE(clusterBits, 20);
  header.writeBigUInt64BE(size, 24);
  header.writeUInt32BE(Number((size + perL1Entry - 1n) / perL1Entry), 36);
  header.writeBigUInt64BE(BigInt(l1Table * cluster), 40);
  header.writeBigUInt64BE(BigInt(refcountTable * cluster), 48);
  header.writeUInt32BE(1, 56);
  header.writeBigUInt64BE(extendedL2, 72);
  header.writeUInt32BE(refcountOrder, 96);
  header.writeUInt32BE(headerLength, 100);
  if (backing === undefined) return Buffer.concat([header, Buffer.alloc(8)]);
  const format = backing.format === undefined ? [] : [formExtension(backingFormatExtension, backing.format)];
  // An extension of zeros is the last one.
  const before = Buffer.concat([header, ...format, Buffer.alloc(8)]);
  const name = Buffer.from(backing.name);
  before.writeBigUInt64BE(BigInt(before.length), 8);
  before.writeUInt32BE(name.length, 16);
  return Buffer.concat([before, name]);
}

function formExtension(type: number, text: string): Buffer {
  const data = Buffer.from(text);
  const extension = Buffer.alloc(8 + Math.ceil(data.length / 8) * 8);
  extension.writeUInt32BE(type, 0);
  extension.writeUInt32BE(data.length, 4);
  data.copy(extension, 8);
  return extension;
}
