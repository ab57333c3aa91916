import { expect, it } from 'vitest';
import { blockSize, cut, has, pack, toBitmap, unite, unpack } from './bitmap.ts';

const parts = (...blocks: readonly (readonly [number, number])[]): { start: number; length: number }[] =>
  blocks.map(([start, length]) => ({ start: start * blockSize, length: length * blockSize }));

it('has the first block in the highest bit of the first byte, as clients read it', () => {
  expect([...toBitmap(parts([0, 1], [9, 2]), 16 * blockSize)]).toEqual([0x80, 0x60]);
});

it('has a block of which a byte is touched, and none behind the end of the disk', () => {
  expect([...toBitmap([{ start: blockSize - 1, length: 2 }], 8 * blockSize)]).toEqual([0xc0]);
  expect([...toBitmap(parts([2, 100]), 3 * blockSize + 1)]).toEqual([0x30]);
  expect([...toBitmap([{ start: 5, length: -3 }], blockSize)]).toEqual([0]);
});

it('has whole bytes of a long part', () => {
  expect([...toBitmap(parts([3, 25]), 40 * blockSize)]).toEqual([0x1f, 0xff, 0xff, 0xf0, 0]);
});

it('unites sets of several lengths', () => {
  expect([...unite([Uint8Array.of(1), Uint8Array.of(2, 4), new Uint8Array()])]).toEqual([3, 4]);
  expect(unite([])).toHaveLength(0);
});

it('cuts out any blocks, and sets no bit behind them', () => {
  const bitmap = Uint8Array.of(0b10110011, 0b01011101, 0b11110000);
  for (let first = 0; first <= 24; first++) {
    for (let end = first; end <= 30; end++) {
      const part = cut(bitmap, first, end);
      expect(part).toHaveLength(Math.ceil((end - first) / 8));
      for (let block = 0; block < part.length * 8; block++) {
        expect(has(part, block)).toBe(block < end - first && has(bitmap, first + block));
      }
    }
  }
});

it('keeps a set, and sees that one is damaged', () => {
  const bitmap = toBitmap(parts([3, 1000], [5000, 1]), 10_000 * blockSize);
  const packed = pack(bitmap);
  expect(packed.length).toBeLessThan(bitmap.length / 10);
  expect(Buffer.compare(unpack(packed), bitmap)).toBe(0);
  const damaged = packed.map((byte, at) => (at === packed.length - 1 ? byte ^ 1 : byte));
  expect(() => unpack(damaged)).toThrow();
});
