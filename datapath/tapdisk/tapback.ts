import { readdirSync } from 'node:fs';
import { programOf } from './places.ts';

/** Whether tapback runs here, which connects guests to tapdisks without a block device: on XCP-ng and XenServer. */
export function isTapbackRunning(): boolean {
  return readdirSync('/proc').some((name) => /^[0-9]+$/.test(name) && programOf(Number(name)) === 'tapback');
}
