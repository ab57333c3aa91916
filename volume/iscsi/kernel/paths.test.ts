import { expect, it } from 'vitest';
import { kernelLun } from './paths.ts';

it.each([
  ['00ff000000000000', 255n],
  ['012c000000000000', 300n],
  ['412c000000000000', 0x412cn],
  ['d200400000000000', 0x4000d200n],
])("spells the LUN %s as the kernel's scan takes it", (raw, lun) => {
  expect(kernelLun(raw)).toBe(lun);
});
