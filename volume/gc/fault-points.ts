/** The steps between which a test can stop a merge, as by `kill -9`. */
import { faultPoint } from '../../src/fault-point.ts';

/**
 * In the order in which they are passed, each named after the last step done: by how the merge ends, see
 * docs/garbage-collection.md.
 */
export const mergeFaultPoints = {
  replace: ['merge.begun', 'merge.written', 'merge.switching', 'merge.renamed', 'merge.rows'],
  move: [
    'merge.begun',
    'merge.written',
    'merge.frozen',
    'merge.rows',
    'merge.rebased',
    'merge.rebased-2',
    'merge.marked',
    'merge.removed',
  ],
} as const;

/** The same under a running disk, with what its process does (datapath/qemu/live-merge.ts). */
export const runningMergeFaultPoints = [
  'merge.recorded',
  'live-merge.locked',
  'live-merge.started',
  'merge.begun',
  'merge.written',
  'live-merge.finalized',
  'live-merge.unlocked',
  'live-merge.dismissed',
  'live-merge.settled',
  'merge.switching',
  'merge.renamed',
  'merge.rows',
] as const;

/** Dies here when a test asks for it. */
export function stopAt(step: string, index = 0): void {
  faultPoint(`merge.${step}${index === 0 ? '' : `-${index + 1}`}`);
}
