import { fieldText } from './inquiry.ts';

/** Vital product data pages (SPC-4 section 7.8, SBC-3 section 6.6). */
export const PAGE = { supported: 0x00, serialNumber: 0x80, identification: 0x83, blockLimits: 0xb0 } as const;

/** Bytes of the page in all, with its header. */
export function pageLength(data: Uint8Array): number {
  return data.length < 4 ? data.length : 4 + ((data[2] ?? 0) << 8) + (data[3] ?? 0);
}

/** Page 00h: the numbers of the pages that the unit has. */
export function parseSupportedPages(page: Uint8Array): number[] {
  return [...page.subarray(4, pageLength(page))];
}

/** Page 80h: undefined when it is empty or blank. */
export function parseSerialNumber(page: Uint8Array): string | undefined {
  return fieldText(page.subarray(4, pageLength(page))) || undefined;
}

/** One designation descriptor of page 83h (SPC-4 section 7.8.5). */
export interface Designator {
  /** 0 vendor specific, 1 T10 vendor id, 2 EUI-64, 3 NAA, 4 relative port, 5 port group, 6 unit group, 7 MD5, 8 name. */
  readonly type: number;
  /** 0 logical unit, 1 target port, 2 target device. */
  readonly association: number;
  /** 1 binary, 2 ASCII, 3 UTF-8. */
  readonly codeSet: number;
  /** Transport (5 iSCSI ...); undefined unless the unit marks it as valid. */
  readonly protocol: number | undefined;
  /** The designator itself, untouched. */
  readonly bytes: Uint8Array;
}

/** Page 83h in the order of the unit; a descriptor that does not end within the page is left out. */
export function parseDesignators(page: Uint8Array): Designator[] {
  const end = Math.min(pageLength(page), page.length);
  const found: Designator[] = [];
  let at = 4;
  while (at + 4 <= end) {
    const [first = 0, second = 0, , length = 0] = page.subarray(at, at + 4);
    if (at + 4 + length > end) break;
    const valid = (second & 0x80) !== 0;
    found.push({
      type: second & 15,
      association: (second >> 4) & 3,
      codeSet: first & 15,
      protocol: valid ? first >> 4 : undefined,
      bytes: Uint8Array.from(page.subarray(at + 4, at + 4 + length)),
    });
    at += 4 + length;
  }
  return found;
}

/** Page B0h. Lengths are in blocks; 0 means that the unit states no limit. */
export interface BlockLimits {
  readonly optimalTransferGranularity: number;
  readonly maxTransferLength: number;
  readonly optimalTransferLength: number;
  readonly maxUnmapBlocks: number;
  readonly maxUnmapDescriptors: number;
  readonly optimalUnmapGranularity: number;
  /** Undefined unless the unit states it. */
  readonly unmapAlignment: number | undefined;
  readonly maxWriteSameLength: bigint;
}

/** Reads page B0h; fields that an older, shorter page does not have are 0. */
export function parseBlockLimits(page: Uint8Array): BlockLimits {
  const whole = Buffer.alloc(64);
  whole.set(page.subarray(0, Math.min(64, pageLength(page))));
  const alignment = whole.readUInt32BE(32);
  return {
    optimalTransferGranularity: whole.readUInt16BE(6),
    maxTransferLength: whole.readUInt32BE(8),
    optimalTransferLength: whole.readUInt32BE(12),
    maxUnmapBlocks: whole.readUInt32BE(20),
    maxUnmapDescriptors: whole.readUInt32BE(24),
    optimalUnmapGranularity: whole.readUInt32BE(28),
    unmapAlignment: alignment >= 0x80000000 ? alignment - 0x80000000 : undefined,
    maxWriteSameLength: whole.readBigUInt64BE(36),
  };
}
