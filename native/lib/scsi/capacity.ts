/** Size and block sizes of a unit. */
export interface Capacity {
  readonly blocks: bigint;
  /** Bytes per logical block. */
  readonly blockSize: number;
  /** Bytes per physical block; the logical size where the unit does not say. */
  readonly physicalBlockSize: number;
  /** Logical block provisioning management is enabled (LBPME): unmapped space is given back. */
  readonly thin: boolean;
  readonly bytes: bigint;
}

// What a disk can have without being nonsense: powers of two to 64 KiB, and the
// formats with protection or metadata beside the data (520, 528, 4160 ...).
const plausible = (blockSize: number) => blockSize >= 256 && blockSize <= 65536 && blockSize % 8 === 0;

function capacity(blocks: bigint, blockSize: number, exponent: number, thin: boolean): Capacity | undefined {
  if (!plausible(blockSize)) return undefined;
  return {
    blocks,
    blockSize,
    physicalBlockSize: blockSize * 2 ** exponent,
    thin,
    bytes: blocks * BigInt(blockSize),
  };
}

/** READ CAPACITY(16) data (SBC-3 section 5.16); undefined when it is too short or makes no sense. */
export function parseCapacity16(data: Uint8Array): Capacity | undefined {
  if (data.length < 12) return undefined;
  const view = Buffer.from(data);
  const exponent = (data[13] ?? 0) & 15;
  const thin = ((data[14] ?? 0) & 0x80) !== 0;
  return capacity(view.readBigUInt64BE(0) + 1n, view.readUInt32BE(8), exponent, thin);
}

/** READ CAPACITY(10) data (SBC-3 section 5.15); undefined also when the unit is too large for it. */
export function parseCapacity10(data: Uint8Array): Capacity | undefined {
  if (data.length < 8) return undefined;
  const view = Buffer.from(data);
  const last = view.readUInt32BE(0);
  if (last === 0xffffffff) return undefined;
  return capacity(BigInt(last) + 1n, view.readUInt32BE(4), 0, false);
}
