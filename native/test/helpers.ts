import { readdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'vitest';
import { IscsiError } from '../lib/index.ts';

export const INITIATOR = 'iqn.2026-01.test.host:initiator';

/** Open descriptors of this process. */
export const descriptors = (): number => readdirSync('/proc/self/fd').length;

/** Waits until no more descriptors are open than before: closing takes a turn of the loop. */
export async function expectNoLeak(before: number): Promise<void> {
  for (let i = 0; i < 100 && descriptors() > before; i++) await pause(20);
  expect(descriptors()).toBeLessThanOrEqual(before);
}

/** The error of something that must fail, checked to be one clear sentence. */
export async function failure(promise: Promise<unknown>): Promise<IscsiError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(IscsiError);
  if (!(error instanceof IscsiError)) throw error;
  expect(error.message).toMatch(/^Cannot [^\n\0]+ portal (\[[0-9a-f:.%a-z]+\]|[\w.-]+):\d+: [^\n\0]+$/i);
  expect(error.message.length).toBeLessThan(400);
  return error;
}
