/** Volumes in vhd, as xapi has them: run, frozen, branched, grown and reverted, with their data compared. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { listRunningDisks } from '../../datapath/live-control/index.ts';
import type { Volume } from '../../src/smapi/interface.ts';
import { checkConsistent } from '../support/consistency.ts';
import { runs } from '../support/disk.ts';
import { hasBlktap, listTapdisks, needsBlktap } from '../support/vhd.ts';
import { imageOf, VolumeHost } from '../support/volume-host.ts';
import { Host } from './host.ts';

const size = 4n << 20n;

/** Has a volume's disk run on a host while something is done. */
async function whileRunning(
  disks: Host,
  volume: Volume,
  work: (disk: string) => Promise<void>,
): Promise<void> {
  const disk = { uri: volume.uri[0] ?? '', domain: '3' };
  await disks.call(volume.read_write ? 'Datapath.activate' : 'Datapath.activate_readonly', disk);
  try {
    await work(await disks.socket(disk.uri));
  } finally {
    await disks.call('Datapath.deactivate', disk);
    await disks.call('Datapath.detach', disk);
  }
}

function write(disk: string, byte: number, offset: number): void {
  execFileSync('qemu-io', ['-f', 'raw', '-c', `write -P ${byte} ${offset} 64k`, disk]);
}

describe.skipIf(!hasBlktap)(`volumes in vhd${needsBlktap}`, () => {
  it('run, and are not changed by others meanwhile', async () => {
    using volumes = new VolumeHost();
    const disks = new Host(volumes.environment.GFS2_SR_RUN_DIR, 'vhd+file');
    const sr = await volumes.makeSr({ 'image-format': 'vhd' });
    const { key } = await volumes.makeVolume(size);
    const current = (): Promise<Volume> => volumes.call('Volume.stat', { sr, key });
    await whileRunning(disks, await current(), async (disk) => {
      write(disk, 1, 0);
      const image = imageOf(await current());
      expect(listTapdisks().map(({ path }) => path)).toContain(image);
      for (const failure of [
        await volumes.failure('Volume.resize', { sr, key, new_size: 2n * size }),
        await volumes.failure('Volume.destroy', { sr, key }),
      ]) {
        expect(failure.params[0]).toBe('VolumeInUse');
      }
    });
    const snapshot = await volumes.call('Volume.snapshot', { sr, key });
    await volumes.call('Volume.resize', { sr, key, new_size: 2n * size });
    await whileRunning(disks, await current(), async (disk) => {
      expect(
        execFileSync('qemu-io', ['-r', '-f', 'raw', '-c', 'length', disk], { encoding: 'utf8' }),
      ).toContain('8 MiB');
      write(disk, 2, 6 << 20);
      // The snapshot can be read while the disk that builds on it runs, and stays.
      await whileRunning(disks, snapshot, async (other) => {
        expect(
          execFileSync('qemu-io', ['-r', '-f', 'raw', '-c', 'read -v 0 512', other], { encoding: 'utf8' }),
        ).toContain('01 01 01 01');
      });
      await volumes.call('Volume.destroy', { sr, key: snapshot.key });
    });
    expect(runs(await current())).toBe('1x65536 0x6225920 2x65536 0x2031616');
    checkConsistent(volumes);
    await volumes.call('Volume.destroy', { sr, key });
    expect([volumes.images(), readdirSync(`${volumes.environment.GFS2_SR_RUN_DIR}/disk`)]).toEqual([[], []]);
  });

  it('are seen as running where an SR is to be detached', async () => {
    using volumes = new VolumeHost();
    const disks = new Host(volumes.environment.GFS2_SR_RUN_DIR, 'vhd+file');
    const sr = await volumes.makeSr({ 'image-format': 'vhd' });
    const volume = await volumes.makeVolume(size);
    await whileRunning(disks, volume, async () => {
      const seen = execFileSync(
        process.execPath,
        [
          '-e',
          `import(${JSON.stringify(`${import.meta.dirname}/../../datapath/live-control/index.ts`)}).then(({ listRunningDisks }) => console.log(JSON.stringify(listRunningDisks())))`,
        ],
        { encoding: 'utf8', env: { ...process.env, ...volumes.environment } },
      );
      expect((JSON.parse(seen) as ReturnType<typeof listRunningDisks>).map(({ image }) => image)).toEqual([
        imageOf(volume),
      ]);
      expect((await volumes.failure('SR.detach', { sr })).params[0]).toMatch(/InUse/);
    });
    await volumes.call('SR.detach', { sr });
  });
});
