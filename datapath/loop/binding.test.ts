/** The way of kernels before 5.8, which the kernel at hand takes as well. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { tryLock } from '../../src/locks/flock.ts';
import { bindInSteps, bindingOf, findBinding, type LoopIdentity, unbindLoop } from './binding.ts';
import { freeLoop, loopPath, openLoop } from './control.ts';
import { loopIoctls, loopRequests } from './ioctls.ts';

let folder = '';
let identity: LoopIdentity = { name: '', path: '' };
let bound: number | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'loop-'));
  identity = { name: `gfs2-sr-test:${process.pid}`, path: join(folder, 'image') };
  writeFileSync(identity.path, '');
  truncateSync(identity.path, 1024 * 1024);
});

afterEach(() => {
  if (bound !== undefined) execFileSync('losetup', ['--detach', loopPath(bound)]);
  bound = undefined;
  rmSync(folder, { recursive: true });
});

/** Binds a free loop device to the image with its lock, as `bind` does it. */
function bindWith(
  bind: (device: number, image: number) => number,
  flags: 'r' | 'r+' = 'r+',
  attempts = 20,
): number {
  const image = openSync(identity.path, flags);
  const number = freeLoop();
  const device = openLoop(number, flags);
  try {
    expect(tryLock(image, 'exclusive')).toBe(true);
    const result = bind(device, image);
    // Another test may have been quicker.
    if (result < 0 && attempts > 0) return bindWith(bind, flags, attempts - 1);
    expect(result).toBe(0);
    bound = number;
    return number;
  } finally {
    closeSync(device);
    closeSync(image);
  }
}

function isLocked(): boolean {
  const image = openSync(identity.path, 'r');
  try {
    return !tryLock(image, 'exclusive');
  } finally {
    closeSync(image);
  }
}

it('is found by its name, and keeps the lock until it is unbound', async () => {
  const number = bindWith((device, image) => bindInSteps(device, image, identity.name));
  expect(isLocked()).toBe(true);
  expect(await findBinding(identity)).toMatchObject({ number, readOnly: false, clearing: false });
  expect(await bindingOf(number, { ...identity, name: 'gfs2-sr-test:other' })).toBeUndefined();
  await unbindLoop(number, identity, 5_000);
  bound = undefined;
  expect(isLocked()).toBe(false);
});

it('is read-only for a descriptor that only reads', async () => {
  const number = bindWith((device, image) => bindInSteps(device, image, identity.name), 'r');
  expect(await bindingOf(number, identity)).toMatchObject({ readOnly: true });
});

it('is found by its file when the call died before it set the name', async () => {
  const number = bindWith((device, image) => loopIoctls().control(device, loopRequests.setFd, image));
  expect(await bindingOf(number, identity)).toMatchObject({ number });
  const other = join(folder, 'other');
  writeFileSync(other, '');
  expect(await bindingOf(number, { ...identity, path: other })).toBeUndefined();
  await unbindLoop(number, identity, 5_000);
  bound = undefined;
  expect(isLocked()).toBe(false);
});
