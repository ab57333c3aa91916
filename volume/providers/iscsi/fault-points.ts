/** The steps between which a test can stop the calls of `provider=iscsi`, as by `kill -9`. */
import { faultPoint } from '../../../src/fault-point.ts';

/** By call, in the order in which they are passed; each is named after the last step done. */
export const iscsiFaultPoints = {
  create: [
    'create.claimed',
    'create.noted',
    'create.logged-in',
    'create.checked',
    'create.cleared',
    'create.formatted',
    'create.reclaimed',
    'create.named',
    'create.mounted',
    'create.made',
    'create.unmounted',
    'create.committed',
    'create.released',
  ],
  attach: ['attach.noted', 'attach.logged-in', 'attach.checked', 'attach.mounted', 'attach.registered'],
  detach: ['detach.noted', 'detach.unregistered', 'detach.unmounted', 'detach.released'],
  destroy: [
    'destroy.marked',
    'destroy.labelled',
    'destroy.unmounted',
    'destroy.superblock-wiped',
    'destroy.label-wiped',
    'destroy.released',
  ],
  grow: ['grow.recorded', 'grow.grown', 'grow.labelled'],
} as const;

type Points = typeof iscsiFaultPoints;

/** Dies here when a test asks for it. */
export function stopAt(name: Points[keyof Points][number]): void {
  faultPoint(name);
}
