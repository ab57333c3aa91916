import { expect, it } from 'vitest';
import { toBlockRanges } from './block-ranges.ts';

it.each([
  ['nothing', [], []],
  ['a byte', [[5, 1]], [[0, 1]]],
  ['one whole block', [[10, 10]], [[1, 1]]],
  ['a part of two blocks', [[9, 2]], [[0, 2]]],
  [
    'parts that touch the same block, out of order',
    [
      [25, 1],
      [9, 2],
      [21, 1],
    ],
    [[0, 3]],
  ],
  [
    'parts that are apart',
    [
      [0, 10],
      [20, 1],
    ],
    [
      [0, 1],
      [2, 1],
    ],
  ],
  [
    'what is within another part',
    [
      [0, 50],
      [10, 5],
    ],
    [[0, 5]],
  ],
  ['what goes beyond the end', [[90, 100]], [[9, 1]]],
  ['what is behind the end', [[95, 100]], []],
] as const)('blocks of %s', (_what, parts, expected) => {
  const ranges = parts.map(([start, length]) => ({ start, length }));
  expect(toBlockRanges(ranges, 10, 95)).toEqual(expected);
});
