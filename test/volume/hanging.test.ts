import { execFileSync, spawn } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { imageOf, VolumeHost } from '../support/volume-host.ts';
import { CallFailed, datapathCaller, entryFile, volumeCaller } from '../support/xapi.ts';

/** Mounts an ext4 where the SR goes, which hangs between `hang` and `goOn`: writes to it do not return. */
function mountHanging(host: VolumeHost): { hang: () => void; goOn: () => void } {
  const image = join(host.folder, 'ext4');
  writeFileSync(image, '');
  truncateSync(image, 64 << 20);
  execFileSync('mkfs.ext4', ['-q', image]);
  execFileSync('mount', ['-o', 'loop', image, host.path]);
  host.defer(() => execFileSync('umount', [host.path]));
  let hangs = false;
  const goOn = (): void => {
    if (hangs) execFileSync('fsfreeze', ['--unfreeze', host.path]);
    hangs = false;
  };
  const hang = (): void => {
    execFileSync('fsfreeze', ['--freeze', host.path]);
    hangs = true;
  };
  host.defer(goOn);
  return { hang, goOn };
}

async function failureOf(call: Promise<unknown>): Promise<readonly string[]> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof CallFailed)) throw new Error(`the call did not fail: ${String(error)}`);
  return error.params;
}

it('on storage that hangs, calls answer within their deadline, and all goes on when it does', async () => {
  using host = new VolumeHost();
  const storage = mountHanging(host);
  const sr = await host.makeSr({ 'image-format': 'raw' });
  const volume = await host.makeVolume();
  const uri = volume.uri[0] ?? '';
  const environment = { ...host.environment, GFS2_SR_DEADLINE_MS: '1500' };
  const volumes = volumeCaller(environment);
  const disks = datapathCaller('raw+file', environment);
  const disk = { uri, domain: '1' };
  host.defer(() => {
    storage.goOn();
    // Also where the test fails half-way.
    execFileSync(entryFile('datapath/raw+file', 'Datapath.detach'), ['test', uri, disk.domain], {
      env: { ...process.env, ...host.environment },
    });
  });
  await disks('Datapath.activate', disk);
  const { implementations } = await disks('Datapath.attach', disk);
  const device = implementations[1]?.[1] as { path: string };

  storage.hang();
  const writer = spawn('dd', ['if=/dev/zero', `of=${device.path}`, 'bs=4096', 'count=8', 'status=none']);
  const written = new Promise((resolve) => writer.on('close', resolve));
  // What only reads does not touch the storage's writing side.
  expect((await volumes('SR.stat', { sr })).health).toEqual(['Healthy', '']);
  expect(await volumes('SR.ls', { sr })).toHaveLength(1);
  const create = { sr, name: '', description: '', size: 0n, sharable: false };
  const failures = [
    await failureOf(volumes('Volume.create', create)),
    // The one before has the catalog's lock as long as it hangs.
    await failureOf(volumes('SR.stat', { sr })),
    await failureOf(disks('Datapath.deactivate', disk)),
  ];
  expect(failures.map(([kind]) => kind)).toEqual(['CallTimeout', 'CallTimeout', 'CallTimeout']);
  expect(failures[0]?.[1]).toContain(`the storage of the SR in ${host.path}`);
  expect(failures[2]?.[1]).toMatch(/the storage to take what was written to \/dev\/loop\d+/);

  storage.goOn();
  await written;
  expect(await host.call('SR.ls', { sr })).toHaveLength(1);
  expect(host.images()).toEqual([imageOf(volume).replace(/.*\//, '')]);
  await disks('Datapath.deactivate', disk);
  await host.call('SR.destroy', { sr });
});

it('Datapath.detach does not hang with the storage, and the disk is let go once that answers', async () => {
  using host = new VolumeHost();
  const storage = mountHanging(host);
  await host.makeSr({ 'image-format': 'raw' });
  const uri = (await host.makeVolume()).uri[0] ?? '';
  const disks = datapathCaller('raw+file', host.environment);
  const disk = { uri, domain: '1' };
  await disks('Datapath.activate', disk);
  const { implementations } = await disks('Datapath.attach', disk);
  const device = implementations[1]?.[1] as { path: string };
  storage.hang();
  const writer = spawn('dd', ['if=/dev/zero', `of=${device.path}`, 'bs=4096', 'count=8', 'status=none']);
  const written = new Promise((resolve) => writer.on('close', resolve));
  await disks('Datapath.detach', disk);
  storage.goOn();
  await written;
  for (;;) {
    const again = await disks('Datapath.activate', { uri, domain: '2' }).then(
      () => 'active',
      (error: unknown) => error,
    );
    if (again === 'active') break;
    // Until its last user has closed it.
    expect((again as CallFailed).params[0]).toMatch(/^(VolumeInUse|DeviceInUse)$/);
  }
  await disks('Datapath.detach', { uri, domain: '2' });
});
