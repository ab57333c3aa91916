/** All scenarios, in the order in which they run. */
import { probe } from './a-probe.ts';
import { share } from './b-share.ts';
import { hammer } from './c-hammer.ts';
import { powerCut } from './d-power-cut.ts';
import { targetAway } from './e-target-away.ts';
import { grow } from './f-grow.ts';
import { attachAndDetach } from './g-attach.ts';
import { killBetweenSteps } from './h-kill.ts';
import { powerOff } from './i-power-off.ts';
import { images } from './j-images.ts';
import { killImages } from './k-kill-images.ts';
import { live } from './l-live.ts';
import { xen } from './m-xen.ts';
import type { Scenario } from './scenario.ts';

export const catalogue: readonly Scenario[] = [
  probe,
  share,
  hammer,
  powerCut,
  targetAway,
  grow,
  attachAndDetach,
  killBetweenSteps,
  powerOff,
  images,
  killImages,
  live,
  xen,
];
