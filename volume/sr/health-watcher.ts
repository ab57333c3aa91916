/** The thread of a watch: see health-watch.ts. */
import { setTimeout as sleep } from 'node:timers/promises';
import { workerData } from 'node:worker_threads';
import { answerForHung } from '../../src/deadline.ts';
import { calls } from '../../src/smapi/interface.ts';
import { formatJson } from '../../src/smapi/json.ts';
import { loadProvider } from '../providers/provider.ts';
import { describeSr } from './description.ts';
import type { Watched } from './health-watch.ts';

/** Milliseconds between two looks, at least; most calls are over before the first one. */
const interval = 1_000;
/** On a busy host a look takes long, and many calls look: they rest for this many times as long. */
const rest = 5;

async function watch({ sr, clustered }: Watched): Promise<never> {
  const { health } = await loadProvider(sr.provider);
  for (let took = 0; ; ) {
    await sleep(Math.max(interval, rest * took));
    const begun = performance.now();
    const storage = await health?.(sr);
    took = performance.now() - begun;
    if (storage?.usable !== false) continue;
    const stat = describeSr(sr, clustered, storage.space, storage.health);
    answerForHung(formatJson(calls['SR.stat'].result.encode(stat, 'result')));
  }
}

void watch(workerData as Watched);
