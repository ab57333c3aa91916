/** The header of a qcow2 image; see docs/interop/qcow2.txt of QEMU. Integers are big-endian. */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { PluginError } from '../smapi/errors.ts';

const magic = 0x514649fb;
/** The header, its extensions and the backing name lie in the first cluster; ours are far shorter than this. */
const area = 65_536;
const backingFormatExtension = 0xe2792aca;

/** Features without which an image cannot be read, by their bits: those that ours have or may come to have. */
const dirtyBit = 1n << 0n;
const extendedL2Bit = 1n << 4n;

/** The parent that an image's file names. */
export interface Backing {
  /** The name of its file; only in the same folder is it good. */
  readonly name: string;
  /** Its format as the file states it; undefined where it does not. */
  readonly format: string | undefined;
}

/** What a header says. */
export interface Qcow2Header {
  /** Bytes of the disk. */
  readonly size: bigint;
  readonly backing: Backing | undefined;
  /** Where the table of tables of clusters is, in bytes. */
  readonly l1Offset: bigint;
  /** Its entries, of 8 bytes. */
  readonly l1Entries: number;
}

/**
 * Reads the header of a qcow2 image.
 *
 * @throws PluginError `ImageDamaged` for what this plugin has not made: also an image that is marked corrupt, or
 * that keeps its data in another file.
 */
export function readQcow2Header(file: string): Qcow2Header {
  const bytes = readStart(file);
  if (bytes.length < 104 || bytes.readUInt32BE(0) !== magic) throw damaged(file, 'has no qcow2 header');
  if (bytes.readUInt32BE(4) !== 3) throw damaged(file, 'is a qcow2 image of another version');
  const incompatible = bytes.readBigUInt64BE(72);
  if ((incompatible & ~(dirtyBit | extendedL2Bit)) !== 0n) {
    throw damaged(file, `is marked corrupt, or has features that no image of an SR has (${incompatible})`);
  }
  if (bytes.readUInt32BE(32) !== 0) throw damaged(file, 'is encrypted, as no image of an SR is');
  return {
    size: bytes.readBigUInt64BE(24),
    backing: readBacking(file, bytes),
    l1Entries: bytes.readUInt32BE(36),
    l1Offset: bytes.readBigUInt64BE(40),
  };
}

/** Whether no cluster of an image is allocated, not even for zeros: its first table points to no other. */
export function hasNoClusters(file: string): boolean {
  const { l1Offset, l1Entries } = readQcow2Header(file);
  const table = Buffer.alloc(l1Entries * 8);
  const read = readAt(file, table, Number(l1Offset));
  return read === table.length && table.every((byte) => byte === 0);
}

function readBacking(file: string, bytes: Buffer): Backing | undefined {
  const offset = bytes.readBigUInt64BE(8);
  if (offset === 0n) return undefined;
  const end = offset + BigInt(bytes.readUInt32BE(16));
  if (end > BigInt(bytes.length)) throw damaged(file, 'has its backing name outside its header');
  return {
    name: bytes.toString('utf8', Number(offset), Number(end)),
    format: readExtension(bytes, backingFormatExtension)?.toString('utf8'),
  };
}

/** Extensions follow the header: a type and a length of 4 bytes each, and the data, padded to 8 bytes. */
function readExtension(bytes: Buffer, wanted: number): Buffer | undefined {
  for (let at = bytes.readUInt32BE(100); at + 8 <= bytes.length; ) {
    const type = bytes.readUInt32BE(at);
    const length = bytes.readUInt32BE(at + 4);
    if (type === 0) return undefined;
    if (type === wanted) return bytes.subarray(at + 8, at + 8 + length);
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return undefined;
}

function readStart(file: string): Buffer {
  const buffer = Buffer.alloc(area);
  return buffer.subarray(0, readAt(file, buffer, 0));
}

function readAt(file: string, buffer: Buffer, position: number): number {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return readSync(fd, buffer, 0, buffer.length, position);
  } finally {
    closeSync(fd);
  }
}

function damaged(file: string, what: string): PluginError {
  return new PluginError('ImageDamaged', `The image ${file} ${what}; restore it from a backup.`);
}
