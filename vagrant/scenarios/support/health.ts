/** What SR.stat says of an SR's health, over time. */
import { strict as assert } from 'node:assert';
import { eventually } from './eventually.ts';
import type { Host } from './host.ts';
import type { Answer } from './polling.ts';
import type { SrStat } from './smapi.ts';
import type { Sr } from './sr.ts';

/** Waits until a host says that the SR is healthy, without an exception. */
export async function becomesHealthy(host: Host, { uuid }: Sr): Promise<void> {
  await eventually(`a healthy SR on ${host.name}`, { within: 120 }, async () => {
    const { health } = await host.call('SR.stat', { sr: uuid }, { timeout: 90_000 });
    assert.deepEqual(health, ['Healthy', '']);
  });
}

/** What was said, one after the other, with how often it was said and how long the slowest answer took. */
export function describeHealth(answers: readonly Answer<SrStat>[]): string {
  const runs: { said: string; times: number; slowest: number }[] = [];
  for (const { asked, answered, value, refusal } of answers) {
    const said = value === undefined ? `refused: ${refusal?.sentence}` : value.health.join(': ');
    const last = runs.at(-1);
    const seconds = (answered - asked) / 1000;
    if (last?.said === said) {
      last.times += 1;
      last.slowest = Math.max(last.slowest, seconds);
    } else runs.push({ said, times: 1, slowest: seconds });
  }
  return runs
    .map(({ said, times, slowest }) => `${times} x "${said}" (at most ${slowest.toFixed(1)} s)`)
    .join(', then ');
}
