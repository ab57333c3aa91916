/** Volume.compose, as storage migration asks for it. */
import { expect, it } from 'vitest';
import { checkConsistent } from '../support/consistency.ts';
import { fill, runs } from '../support/disk.ts';
import { VolumeHost } from '../support/volume-host.ts';

it('makes a disk of what was mirrored and what was copied', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr({ 'image-format': 'qcow2' });
  const stat = (key: string) => host.call('Volume.stat', { sr, key });
  // As storage_smapiv1_migrate.ml of xapi: the mirror's target, a snapshot of it so that it holds differences alone, ...
  const { key: leaf } = await host.makeVolume();
  const { key: dummy } = await host.call('Volume.snapshot', { sr, key: leaf });
  // ... and a clone of that, to which the snapshot of the source is copied meanwhile.
  const { key: parent } = await host.call('Volume.clone', { sr, key: dummy });
  fill(await stat(leaf), 2, 0, 4096);
  fill(await stat(parent), 1, 0, 65_536);

  await host.call('Volume.compose', { sr, key: leaf, key2: parent });
  await host.call('Volume.destroy', { sr, key: dummy });
  expect(runs(await stat(leaf))).toBe('2x4096 1x61440 0x983040');
  expect((await host.call('SR.ls', { sr })).map(({ key }) => key)).toEqual([leaf]);
  checkConsistent(host);
  fill(await stat(leaf), 3, 4096, 4096);
  expect(runs(await stat(leaf))).toBe('2x4096 3x4096 1x57344 0x983040');
  await host.call('Volume.destroy', { sr, key: leaf });
  expect(host.images()).toEqual([]);
});

it('refuses in words what it cannot know, and changes nothing', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr({ 'image-format': 'raw' });
  const { key } = await host.makeVolume();
  const other = await host.makeVolume(2n << 20n);
  const { key: snapshot } = await host.call('Volume.snapshot', { sr, key: other.key });
  const images = host.images();
  const refused = async (child: string, parent: string) =>
    (await host.failure('Volume.compose', { sr, key: child, key2: parent })).params;
  expect(await refused(key, other.key)).toEqual(['CannotCompose', expect.stringContaining('is raw')]);
  expect(await refused(other.key, other.key)).toEqual(['CannotCompose', expect.stringContaining('itself')]);
  expect(await refused(snapshot, key)).toEqual(['ReadOnlyVolume', expect.any(String)]);
  expect(await refused(key, crypto.randomUUID())).toEqual(['Volume_does_not_exist', expect.any(String)]);
  const { key: small } = await host.makeVolume();
  await host.call('Volume.snapshot', { sr, key: small });
  expect(await refused(small, snapshot)).toEqual(['CannotCompose', expect.stringContaining('resize it')]);
  expect(host.images()).toEqual(expect.arrayContaining([...images]));
  expect(await host.call('SR.ls', { sr })).toHaveLength(5);
  checkConsistent(host);
});
