/** One entry of REPORT LUNS (SPC-4 section 6.33; addressing: SAM-5 section 4.7). */
export interface LunEntry {
  /** The number that people use; undefined where the entry is of a form that has none. */
  readonly lun: number | undefined;
  /** The eight bytes in hex. */
  readonly raw: string;
  readonly addressing: 'peripheral' | 'flat' | 'extended-flat' | 'unsupported';
}

/** The largest number that the 24 bits of the extended flat form hold. */
export const MAX_LUN = 0xffffff;

/** Decodes one eight-byte LUN. Multi-level addresses and well-known units come out as unsupported. */
export function decodeLun(bytes: Uint8Array): LunEntry {
  const raw = Buffer.from(bytes).toString('hex');
  const [first = 0, second = 0, third = 0, fourth = 0] = bytes;
  const alone = (from: number) => bytes.subarray(from).every((byte) => byte === 0);
  // LIO spells numbers above 255 with the upper byte where a bus would stand, and Linux reads them so.
  if (first >> 6 === 0 && alone(2)) return { lun: (first << 8) | second, raw, addressing: 'peripheral' };
  if (first >> 6 === 1 && alone(2)) return { lun: ((first & 0x3f) << 8) | second, raw, addressing: 'flat' };
  if (first === 0xd2 && alone(4)) {
    return { lun: (second << 16) | (third << 8) | fourth, raw, addressing: 'extended-flat' };
  }
  return { lun: undefined, raw, addressing: 'unsupported' };
}

/**
 * The eight bytes for a number, in the form that Linux and most targets use:
 * peripheral to 255, flat to 16383, extended flat above.
 */
export function encodeLun(lun: number): Uint8Array {
  const bytes = new Uint8Array(8);
  if (lun < 256) {
    bytes[1] = lun;
  } else if (lun < 16384) {
    bytes[0] = 0x40 | (lun >> 8);
    bytes[1] = lun & 255;
  } else {
    bytes.set([0xd2, lun >> 16, (lun >> 8) & 255, lun & 255]);
  }
  return bytes;
}

/** How many bytes of REPORT LUNS data there are in all, whatever part of them was transferred. */
export function lunListLength(data: Uint8Array): number {
  return data.length < 8 ? 0 : 8 + Buffer.from(data.buffer, data.byteOffset).readUInt32BE(0);
}

/** The entries of REPORT LUNS data, as far as they are whole. */
export function parseLunList(data: Uint8Array): LunEntry[] {
  const end = Math.min(lunListLength(data), data.length);
  const entries: LunEntry[] = [];
  for (let at = 8; at + 8 <= end; at += 8) entries.push(decodeLun(data.subarray(at, at + 8)));
  return entries;
}
