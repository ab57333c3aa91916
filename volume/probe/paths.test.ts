import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { walkOnce } from './paths.ts';

it('goes over each path once, and over few paths of one target at a time', async () => {
  const open = new Map<string, number>();
  const walked: string[] = [];
  let most = 0;
  const walk = walkOnce(async (target, { host }) => {
    const now = (open.get(target) ?? 0) + 1;
    open.set(target, now);
    most = Math.max(most, now);
    walked.push(`${target} ${host}`);
    await turn();
    open.set(target, (open.get(target) ?? 0) - 1);
    return host !== '10.0.0.3';
  });
  const portals = Array.from({ length: 10 }, (_, index) => ({ host: `10.0.0.${index}`, port: 3260 }));
  const paths = ['iqn.a', 'iqn.b', 'IQN.A'].flatMap((target) =>
    portals.map((portal) => walk(target, portal)),
  );
  expect((await Promise.all(paths)).filter((reached) => !reached)).toHaveLength(3);
  expect(walked).toHaveLength(20);
  expect(most).toBe(4);
});
