/** All scenarios, in the order in which they run. */
import { probe } from './a-probe.ts';
import type { Scenario } from './scenario.ts';

export const catalogue: readonly Scenario[] = [probe];
