/** Numbered blocks that tell by themselves whether they are whole: for data that must not get lost. */
import { createHash } from 'node:crypto';

/** Bytes of a block: what direct I/O takes on any disk. */
export const blockSize = 4096;

/**
 * Forms a block.
 *
 * @param stamp what distinguishes one row of blocks from any other; short, and without spaces.
 */
export function formBlock(stamp: string, number: number): Uint8Array {
  const block = Buffer.alloc(blockSize, createHash('sha256').update(`${stamp} ${number}`).digest());
  block.write(`${stamp} ${number}\n`);
  return block;
}

/** Says what a block is when it is not the one that it should be, in a few words. */
export function describeBlock(block: Uint8Array): string {
  const bytes = Buffer.from(block);
  if (bytes.every((byte) => byte === 0)) return 'zeros';
  const [, stamp, number] = /^(\S{1,60}) (\d{1,15})\n/.exec(bytes.toString('latin1')) ?? [];
  if (stamp === undefined) return `bytes that are none of a block (${bytes.toString('hex', 0, 16)}...)`;
  const whole = bytes.equals(formBlock(stamp, Number(number)));
  return `block ${number} of ${stamp}${whole ? '' : ', damaged'}`;
}
