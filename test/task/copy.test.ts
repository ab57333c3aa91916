/** Volume.copy as a task: others see how far it is, and can end it. */
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkConsistent } from '../support/consistency.ts';
import { fill } from '../support/disk.ts';
import { pendingTask } from '../support/tasks.ts';
import { VolumeHost } from '../support/volume-host.ts';

/** Has qemu-img copy one MiB a second; answers the PATH. */
function slowDown(host: VolumeHost): string {
  const folder = join(host.folder, 'bin');
  mkdirSync(folder);
  const tool =
    '#!/bin/sh\nif [ "$1" = convert ]; then shift; set -- convert -r 1M "$@"; fi\nexec /usr/bin/qemu-img "$@"\n';
  writeFileSync(join(folder, 'qemu-img'), tool, { mode: 0o755 });
  return `${folder}:${process.env.PATH}`;
}

it('tells how far it is, and leaves nothing when it is cancelled', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr({ 'image-format': 'qcow2' });
  const volume = await host.makeVolume(64n << 20n);
  fill(volume, 1, 0, 32 << 20);
  const images = host.images();
  const child = host.start('Volume.copy', { sr, key: volume.key, dest_sr: sr }, { PATH: slowDown(host) });
  const ended = once(child, 'close');
  const id = await pendingTask(host);
  expect(await host.call('Task.stat', { id })).toMatchObject({ id, debug_info: 'test' });
  await host.call('Task.cancel', { id });
  expect((await ended)[0]).toBe(1);
  expect((await host.call('Task.stat', { id })).state[0]).toBe('Failed');
  expect(host.images()).toEqual(images);
  expect(await host.call('SR.ls', { sr })).toHaveLength(1);
  checkConsistent(host);
});

it('has the new volume when it is done', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr();
  const volume = await host.makeVolume();
  const copy = await host.call('Volume.copy', { sr, key: volume.key, dest_sr: sr });
  const [id = ''] = await host.call('Task.ls', {});
  const { state } = await host.call('Task.stat', { id });
  expect(state).toEqual(['Completed', { duration: expect.any(Number), result: ['Volume', copy] }]);
  // It is over, and stays what it is.
  await host.call('Task.cancel', { id });
  expect((await host.call('Task.stat', { id })).state).toEqual(state);
  await host.call('Task.destroy', { id });
  expect(await host.call('Task.ls', {})).toEqual([]);
});
