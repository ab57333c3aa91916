/** The steps between which a test can stop a change of images, as by `kill -9`. */
import { faultPoint } from '../../src/fault-point.ts';

/** By call, in the order in which they are passed; each is named after the last step done. */
export const imageFaultPoints = {
  create: ['create.intent', 'create.made', 'create.rows'],
  snapshot: ['snapshot.intent', 'snapshot.made', 'snapshot.frozen', 'snapshot.rows'],
  clone: ['clone.intent', 'clone.made', 'clone.made-2', 'clone.frozen', 'clone.rows'],
  revert: ['revert.intent', 'revert.made', 'revert.frozen', 'revert.rows', 'revert.removed'],
  destroy: ['destroy.rows', 'destroy.removed', 'destroy.removed-2'],
  data_destroy: ['data_destroy.rows', 'data_destroy.removed'],
  resize: ['resize.intent', 'resize.grown'],
  copy: ['copy.intent', 'copy.made', 'copy.filled', 'copy.rows'],
  compose: ['compose.intent', 'compose.frozen', 'compose.rows', 'compose.rebased', 'compose.removed'],
} as const;

/** The same of calls under a running disk, with what its process does (datapath/qemu/overlay.ts). */
export const runningFaultPoints = {
  'live-snapshot': ofRunning('live-snapshot'),
  'live-clone': ofRunning('live-clone'),
  'live-resize': [
    'live-resize.intent',
    'live-resize.held',
    'live-resize.unserved',
    'live-resize.resized',
    'live-resize.served',
    'live-resize.connected',
    'live-resize.grown',
  ],
} as const;

function ofRunning(call: string): readonly string[] {
  return [
    `${call}.intent`,
    `${call}.made`,
    'live.locked',
    'live.opened',
    `${call}.rows`,
    `${call}.renamed`,
    'live.committed',
    'live.switched',
    'live.shared',
  ];
}

/** A call that changes images. */
export type ImageCall = keyof typeof imageFaultPoints | keyof typeof runningFaultPoints;

/**
 * Dies here when a test asks for it.
 *
 * @param index of the image, where the step is done for each of several.
 */
export function stopAt(call: ImageCall, step: string, index = 0): void {
  faultPoint(`${call}.${step}${index === 0 ? '' : `-${index + 1}`}`);
}
