/** Command descriptor blocks (SPC-4, SBC-3), one function for each command we send. */

function block(length: number, ...bytes: number[]): Buffer {
  const cdb = Buffer.alloc(length);
  cdb.set(bytes);
  return cdb;
}

export const testUnitReady = (): Uint8Array => block(6, 0x00);

export function inquiry(allocation: number, page?: number): Uint8Array {
  const cdb = block(6, 0x12, page === undefined ? 0 : 1, page ?? 0);
  cdb.writeUInt16BE(allocation, 3);
  return cdb;
}

export function reportLuns(allocation: number): Uint8Array {
  const cdb = block(12, 0xa0);
  cdb.writeUInt32BE(allocation, 6);
  return cdb;
}

export const readCapacity10 = (): Uint8Array => block(10, 0x25);

export function readCapacity16(allocation: number): Uint8Array {
  const cdb = block(16, 0x9e, 0x10);
  cdb.writeUInt32BE(allocation, 10);
  return cdb;
}

/** All pages, no block descriptors. */
export const modeSense6 = (allocation: number): Uint8Array => block(6, 0x1a, 0x08, 0x3f, 0, allocation);

export function modeSense10(allocation: number): Uint8Array {
  const cdb = block(10, 0x5a, 0x08, 0x3f);
  cdb.writeUInt16BE(allocation, 7);
  return cdb;
}

export function persistentReserveIn(action: number, allocation: number): Uint8Array {
  const cdb = block(10, 0x5e, action);
  cdb.writeUInt16BE(allocation, 7);
  return cdb;
}

function transfer16(opcode: number, lba: bigint, blocks: number): Uint8Array {
  const cdb = block(16, opcode);
  cdb.writeBigUInt64BE(lba, 2);
  cdb.writeUInt32BE(blocks, 10);
  return cdb;
}

export const read16 = (lba: bigint, blocks: number): Uint8Array => transfer16(0x88, lba, blocks);
export const write16 = (lba: bigint, blocks: number): Uint8Array => transfer16(0x8a, lba, blocks);

const NAMES: Record<number, string> = {
  0: 'TEST UNIT READY',
  18: 'INQUIRY',
  26: 'MODE SENSE(6)',
  37: 'READ CAPACITY(10)',
  66: 'UNMAP',
  90: 'MODE SENSE(10)',
  94: 'PERSISTENT RESERVE IN',
  95: 'PERSISTENT RESERVE OUT',
  136: 'READ(16)',
  138: 'WRITE(16)',
  145: 'SYNCHRONIZE CACHE(16)',
  158: 'READ CAPACITY(16)',
  160: 'REPORT LUNS',
};

/** The command's name in the standards. */
export function commandName(cdb: Uint8Array): string {
  const opcode = cdb[0] ?? 0;
  if (opcode === 0x9e && ((cdb[1] ?? 0) & 0x1f) !== 0x10) return 'SERVICE ACTION IN(16)';
  return NAMES[opcode] ?? `command ${opcode.toString(16).padStart(2, '0').toUpperCase()}h`;
}
