import { describe, expect, it } from 'vitest';
import { checkConsistent } from '../support/consistency.ts';
import { fill, runs } from '../support/disk.ts';
import { VolumeHost } from '../support/volume-host.ts';
import { StorageScript } from '../support/xapi-storage-script.ts';

const size = 1n << 20n;

describe.each(['raw', 'qcow2'])('what xapi does with an SR of %s images', (format) => {
  it('a disk is made, snapshotted, cloned, resized, scanned and destroyed', async () => {
    using host = new VolumeHost();
    await host.makeSr({ 'image-format': format });
    const xapi = new StorageScript(host);
    const disk = await xapi.create('root disk', 'system', size);
    expect(disk).toMatchObject({ type: 'system', readOnly: false, isSnapshot: false });
    const snapshot = await xapi.snapshot(disk.key, { type: 'system', contentId: '' });
    expect(snapshot).toMatchObject({ name: 'root disk', type: 'system', readOnly: true });
    const clone = await xapi.clone(snapshot.key);
    // A clone of a snapshot is no snapshot, and no call but its own says what type it is.
    expect(clone).toMatchObject({ type: 'system', readOnly: false, isSnapshot: false, snapshotOf: '' });
    expect(await xapi.resize(clone.key, 3n * size)).toBe(3n * size);
    const byKey = (vdis: readonly { key: string }[]): unknown =>
      vdis.toSorted((a, b) => a.key.localeCompare(b.key));
    expect(byKey(await xapi.scan())).toEqual(
      byKey([disk, { ...snapshot, snapshotOf: disk.key }, { ...clone, size: 3n * size }]),
    );
    await xapi.destroy(disk.key);
    await xapi.destroy(snapshot.key);
    await xapi.destroy(clone.key);
    expect(await xapi.scan()).toEqual([]);
    expect(host.images()).toEqual([]);
  });

  it('a disk without a type gives copies of type user', async () => {
    using host = new VolumeHost();
    await host.makeSr({ 'image-format': format });
    const xapi = new StorageScript(host);
    const { key } = await xapi.create('', '', size);
    expect(await xapi.snapshot(key)).toMatchObject({ type: 'user' });
    expect(await xapi.clone(key)).toMatchObject({ type: 'user' });
  });

  it('a VM runs on a clone of its disk from start to stop, also after it was not stopped', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': format });
    const xapi = new StorageScript(host);
    const { key } = await xapi.create('golden', 'system', size);
    fill(await host.call('Volume.stat', { sr, key }), 1, 0, 4096);
    for (const orderly of [true, false, false, true]) {
      await xapi.beginEpoch(key);
      const running = await xapi.runningVolume(key);
      expect(running.key).not.toBe(key);
      expect(runs(running)).toBe('1x4096 0x1044480');
      fill(running, 2, 0, 8192);
      expect((await xapi.scan()).map((vdi) => vdi.key)).toEqual([key]);
      if (orderly) await xapi.endEpoch(key);
    }
    expect(runs(await xapi.runningVolume(key))).toBe('1x4096 0x1044480');
    // However often it was started, the disk's chain has not grown beyond its first clone.
    expect(host.images()).toHaveLength(2);
    checkConsistent(host);
    await xapi.beginEpoch(key);
    const { key: temporary } = await xapi.runningVolume(key);
    await xapi.destroy(key);
    // xapi leaves the clone, which is then a disk like others.
    expect((await xapi.scan()).map((vdi) => vdi.key)).toEqual([temporary]);
  });

  it("HA's statefile and a redo log are there at boot, with nothing else running", async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': format });
    const xapi = new StorageScript(host);
    for (const [type, bytes] of [
      ['ha_statefile', 266_240n],
      ['redo_log', 3_988_783_104n],
    ] as const) {
      const { key, size: exact } = await xapi.create(type, type, bytes, true);
      expect(exact).toBe(bytes);
      const configuration = ['--configuration', 'provider', 'path', '--configuration', 'path', host.path];
      const handle = await host.callByPlace(
        'SR.attach',
        'static-vdis',
        ...configuration,
        '--configuration',
        'sr_uuid',
        sr,
      );
      const volume = await host.callByPlace('Volume.stat', 'static-vdis', handle, key);
      expect(volume).toMatchObject({ virtual_size: bytes, sharable: true, keys: { 'vdi-type': type } });
      expect(volume.uri[0]).toMatch(/^raw\+file:.*\?sharable=true$/);
    }
  });
});
