/**
 * What the metadata of a VHD image says: the "Virtual Hard Disk Image Format Specification" of Microsoft. Integers are
 * big-endian; times and uuids are of no interest here.
 *
 * The footer is at the end of the file and, a copy, at its start. Tools believe the one at the end wherever it is valid,
 * and after a crash what a guest wrote may lie there: so both are looked at, and have to be of one image.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Backing } from '../qcow2/header.ts';
import { PluginError } from '../smapi/errors.ts';

/** Bytes of a disk's blocks, which are allocated as a whole; also what sizes are multiples of. */
export const vhdBlockSize = 2n << 20n;

const footerLength = 512;
const footerCookie = 'conectix';
/** What vhd-util marks an image with while it works on it with a journal. */
const poisonCookie = 'v_poison';
const headerCookie = 'cxsparse';
const headerLength = 1024;
const dynamicType = 3;
const differencingType = 4;
const unusedBlock = 0xffffffff;

/** Platforms whose parent locators vhd-util and tapdisk follow, by their codes. */
const macx = 0x4d616358;
const w2ku = 0x57326b75;
const w2ru = 0x57327275;

/** What an image's metadata says. */
export interface VhdHeader {
  /** Bytes of the disk. */
  readonly size: bigint;
  /** Its parent's format is `raw` where the image names no uuid of it, for which tools take that. */
  readonly backing: Backing | undefined;
  /** Bytes that the disk can grow to, as its table of blocks has room for them. */
  readonly maximum: bigint;
  /** Where the table of blocks is, in bytes. */
  readonly tableOffset: bigint;
  /** Whether both footers say the same: not after a growing that was killed, or a tapdisk, which ends with the last one. */
  readonly isSettled: boolean;
}

interface Footer {
  readonly type: number;
  readonly dataOffset: bigint;
  readonly size: bigint;
  readonly uuid: string;
  readonly isValid: boolean;
}

/**
 * Reads the metadata of a dynamic or differencing VHD image.
 *
 * @throws PluginError `ImageDamaged` for what this plugin has not made.
 */
export function readVhdHeader(file: string): VhdHeader {
  return withFile(file, (fd) => {
    const length = fstatSync(fd).size;
    const first = parseFooter(readAt(fd, 0, footerLength));
    if (first === undefined || !first.isValid) throw damaged(file, 'has no VHD footer at its start');
    if (first.type !== dynamicType && first.type !== differencingType) {
      throw damaged(file, 'is a VHD of a fixed size');
    }
    if (first.dataOffset !== BigInt(footerLength))
      throw damaged(file, 'has its header where no image of an SR has it');
    // Virtual PC of old wrote one of 511 bytes, which tools still look for.
    const last = [footerLength, footerLength - 1].flatMap((bytes) => {
      if (length < headerLength + 2 * footerLength) return [];
      return parseFooter(readAt(fd, length - bytes, bytes)) ?? [];
    });
    if (last.some((footer) => !isOfOneImage(footer, first))) {
      throw damaged(file, 'has at its end the footer of another VHD');
    }
    const end = last.find(({ isValid }) => isValid);
    const { size } = end ?? first;
    const header = readAt(fd, footerLength, headerLength);
    if (
      header.length < headerLength ||
      header.toString('latin1', 0, 8) !== headerCookie ||
      header.readUInt32BE(36) !== sumOf(header, 36)
    ) {
      throw damaged(file, 'has no VHD header');
    }
    if (BigInt(header.readUInt32BE(32)) !== vhdBlockSize)
      throw damaged(file, 'has blocks of another size than 2 MiB');
    const maximum = BigInt(header.readUInt32BE(28)) * vhdBlockSize;
    if (size > maximum) throw damaged(file, 'has a table of blocks that is too small for its size');
    return {
      size,
      maximum,
      tableOffset: header.readBigUInt64BE(16),
      backing: first.type === differencingType ? readBacking(file, fd, header) : undefined,
      isSettled: end?.size === first.size,
    };
  });
}

/** A part of a disk, in bytes. */
export interface HeldPart {
  readonly start: number;
  readonly length: number;
}

/**
 * The parts of a disk of which an image may hold something itself: blocks of 2 MiB. All others read as its parent, or
 * as zeros.
 */
export function listHeldParts(file: string): readonly HeldPart[] {
  const { size, tableOffset } = readVhdHeader(file);
  const count = Number((size + vhdBlockSize - 1n) / vhdBlockSize);
  const table = withFile(file, (fd) => readAt(fd, Number(tableOffset), count * 4));
  if (table.length < count * 4) throw damaged(file, 'ends within its table of blocks');
  const length = Number(vhdBlockSize);
  const parts: HeldPart[] = [];
  for (let block = 0; block < count; block++) {
    if (table.readUInt32BE(block * 4) !== unusedBlock) parts.push({ start: block * length, length });
  }
  return parts;
}

function parseFooter(bytes: Buffer): Footer | undefined {
  const cookie = bytes.toString('latin1', 0, 8);
  if (bytes.length < footerLength - 1) return undefined;
  if (cookie !== footerCookie && cookie !== poisonCookie) return undefined;
  return {
    dataOffset: bytes.readBigUInt64BE(16),
    size: bytes.readBigUInt64BE(48),
    type: bytes.readUInt32BE(60),
    uuid: bytes.toString('hex', 68, 84),
    isValid: cookie === footerCookie && bytes.readUInt32BE(64) === sumOf(bytes, 64),
  };
}

function isOfOneImage(one: Footer, other: Footer): boolean {
  return one.uuid === other.uuid && one.type === other.type && one.dataOffset === other.dataOffset;
}

/** The checksum of metadata: the complement of the sum of its bytes but for those of the checksum, at `at`. */
function sumOf(bytes: Buffer, at: number): number {
  let sum = 0;
  for (const [index, byte] of bytes.entries()) if (index < at || index >= at + 4) sum += byte;
  return ~sum >>> 0;
}

/** Tools try one locator after the other: a name of all that they say is no file's unless they are alike. */
function readBacking(file: string, fd: number, header: Buffer): Backing {
  const names = new Set<string>();
  for (let index = 0; index < 8; index++) {
    const at = 576 + index * 24;
    const code = header.readUInt32BE(at);
    if (code === 0) continue;
    const length = header.readUInt32BE(at + 8);
    if (length > 4096) throw damaged(file, 'names its parent by a path that is too long');
    names.add(decodeLocator(file, code, readAt(fd, Number(header.readBigUInt64BE(at + 16)), length)));
  }
  if (names.size === 0) throw damaged(file, 'builds on a parent that it does not name');
  const name = [...names].join(' or ');
  const hasUuid = header.subarray(40, 56).some((byte) => byte !== 0);
  return { name, format: hasUuid ? 'vhd' : 'raw' };
}

/** The name in a locator without the `./` of its relative path; anything that is no name in the same folder is as it is. */
function decodeLocator(file: string, code: number, bytes: Buffer): string {
  switch (code) {
    case macx:
      return bytes.toString('utf8').replace(/^file:\/\/(\.\/)?/, '');
    case w2ku:
    case w2ru:
      return bytes.toString('utf16le').replace(/^\.\\/, '');
    default:
      throw damaged(file, 'names its parent in a way that no image of an SR does');
  }
}

function withFile<T>(file: string, use: (fd: number) => T): T {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function readAt(fd: number, position: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  return buffer.subarray(0, readSync(fd, buffer, 0, length, position));
}

function damaged(file: string, what: string): PluginError {
  return new PluginError('ImageDamaged', `The image ${file} ${what}; restore it from a backup.`);
}
