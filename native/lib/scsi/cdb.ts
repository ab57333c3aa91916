/** Command descriptor blocks (SPC-4, SBC-3), one function for each command we send. */

// Not a Buffer: V8 keeps an array this small inside its heap, which costs a
// fraction of an ArrayBuffer.
function block(length: number, ...bytes: number[]): Uint8Array {
  const cdb = new Uint8Array(length);
  cdb.set(bytes);
  return cdb;
}

function put16(cdb: Uint8Array, value: number, at: number): void {
  cdb[at] = value >> 8;
  cdb[at + 1] = value;
}

function put32(cdb: Uint8Array, value: number, at: number): void {
  put16(cdb, value >>> 16, at);
  put16(cdb, value & 0xffff, at + 2);
}

export const testUnitReady = (): Uint8Array => block(6, 0x00);

export function inquiry(allocation: number, page?: number): Uint8Array {
  const cdb = block(6, 0x12, page === undefined ? 0 : 1, page ?? 0);
  put16(cdb, allocation, 3);
  return cdb;
}

export function reportLuns(allocation: number): Uint8Array {
  const cdb = block(12, 0xa0);
  put32(cdb, allocation, 6);
  return cdb;
}

export const readCapacity10 = (): Uint8Array => block(10, 0x25);

export function readCapacity16(allocation: number): Uint8Array {
  const cdb = block(16, 0x9e, 0x10);
  put32(cdb, allocation, 10);
  return cdb;
}

/** All pages, no block descriptors. */
export const modeSense6 = (allocation: number): Uint8Array => block(6, 0x1a, 0x08, 0x3f, 0, allocation);

export function modeSense10(allocation: number): Uint8Array {
  const cdb = block(10, 0x5a, 0x08, 0x3f);
  put16(cdb, allocation, 7);
  return cdb;
}

export function persistentReserveIn(action: number, allocation: number): Uint8Array {
  const cdb = block(10, 0x5e, action);
  put16(cdb, allocation, 7);
  return cdb;
}

function transfer16(opcode: number, lba: bigint, blocks: number): Uint8Array {
  const cdb = block(16, opcode);
  put32(cdb, Number((lba >> 32n) & 0xffffffffn), 2);
  put32(cdb, Number(lba & 0xffffffffn), 6);
  put32(cdb, blocks, 10);
  return cdb;
}

export const read16 = (lba: bigint, blocks: number): Uint8Array => transfer16(0x88, lba, blocks);
export const write16 = (lba: bigint, blocks: number): Uint8Array => transfer16(0x8a, lba, blocks);

/** Of the whole unit: zero blocks from block 0 on are all there are. */
export const synchronizeCache16 = (): Uint8Array => transfer16(0x91, 0n, 0);
export const synchronizeCache10 = (): Uint8Array => block(10, 0x35);

const NAMES: Record<number, string> = {
  0: 'TEST UNIT READY',
  18: 'INQUIRY',
  26: 'MODE SENSE(6)',
  37: 'READ CAPACITY(10)',
  53: 'SYNCHRONIZE CACHE(10)',
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

/** What an error says of a command; REPORT LUNS is for the target as a whole, and only addressed to a unit. */
export function commandContext(lun: number, cdb: Uint8Array) {
  return { step: 'command', command: commandName(cdb), lun: cdb[0] === 0xa0 ? undefined : lun } as const;
}
