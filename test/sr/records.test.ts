import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { imageOf, VolumeHost } from '../support/volume-host.ts';
import { type CallFailed, datapathCaller } from '../support/xapi.ts';

const folderOf = (host: VolumeHost): string => join(host.environment.GFS2_SR_RUN_DIR, 'sr');
const configurationOf = (host: VolumeHost) => ({ provider: 'path', path: host.path, sr_uuid: host.uuid });

describe("a host's record of an attached SR", () => {
  it('counts as lost when it is damaged, and SR.attach mends it', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    for (const damaged of ['', '{"uuid"', 'null', '[]', '{"path":"/etc"}']) {
      writeFileSync(join(folderOf(host), `${sr}.json`), damaged);
      expect((await host.failure('SR.stat', { sr })).params).toEqual(['Sr_not_attached', sr]);
    }
    await host.call('SR.detach', { sr });
    await host.call('SR.attach', { configuration: configurationOf(host) });
    expect((await host.call('SR.stat', { sr })).health[0]).toBe('Healthy');
  });

  it('is alone again after the call that follows one that died while it wrote it', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    // Greater than any process's number.
    const abandoned = join(folderOf(host), `${sr}.json.4194305.tmp`);
    writeFileSync(abandoned, '{');
    await host.call('SR.attach', { configuration: configurationOf(host) });
    expect(readdirSync(folderOf(host))).toEqual([`${sr}.json`]);
    writeFileSync(abandoned, '{');
    await host.call('SR.detach', { sr });
    expect(readdirSync(folderOf(host))).toEqual([]);
  });
});

describe("a host's full /run", () => {
  it('is named, and what failed for it has changed nothing', async () => {
    using host = new VolumeHost();
    const run = host.environment.GFS2_SR_RUN_DIR;
    const sr = await host.makeSr();
    const volume = await host.makeVolume();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,nr_inodes=4', 'none', run]);
    host.defer(() => execFileSync('umount', [run]));
    await host.call('SR.attach', { configuration: configurationOf(host) });
    writeFileSync(join(run, 'ballast'), '');
    const failures = [
      await host.failure('SR.set_name', { sr, new_name: 'new' }),
      await datapathCaller('qcow2+file', host.environment)('Datapath.activate', {
        uri: volume.uri[0] ?? '',
        domain: '1',
      }).catch((error: unknown) => error as CallFailed),
    ];
    for (const failure of failures) {
      expect((failure as CallFailed).params[1]).toMatch(
        new RegExp(`below ${run}/(sr|datapath) \\(ENOSPC\\)`),
      );
    }
    expect((await host.call('SR.stat', { sr })).name).toBe('an SR');
  });
});

it('an SR whose lock file someone removed says what to do, and goes on when that is done', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr();
  const file = join(host.path, 'locks/catalog');
  rmSync(file);
  expect((await host.failure('SR.ls', { sr })).params[1]).toContain(`The lock file ${file}`);
  writeFileSync(file, '');
  expect(await host.call('SR.ls', { sr })).toEqual([]);
});

it('a volume with something else in place of its image does not stop a call', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr();
  const volume = await host.makeVolume();
  rmSync(imageOf(volume));
  execFileSync('mkfifo', [imageOf(volume)]);
  await host.call('Volume.destroy', { sr, key: volume.key });
  expect(host.images()).toEqual([]);
});
