import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { limiter } from './limit.ts';

it('runs all tasks, never more than the limit at once, and goes on after one that fails', async () => {
  const limit = limiter(3);
  let running = 0;
  let most = 0;
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, index) =>
      limit(async () => {
        running += 1;
        most = Math.max(most, running);
        await turn();
        running -= 1;
        if (index % 5 === 0) throw new Error('fails');
        return index;
      }),
    ),
  );
  expect(most).toBe(3);
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(16);
});
