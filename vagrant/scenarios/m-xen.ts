import { strict as assert } from 'node:assert';
import { startWithXen } from '../lab/xen.ts';
import type { Scenario, Stage } from './scenario.ts';
import { stopCluster } from './support/cluster.ts';
import { readDigest, writeData } from './support/data.ts';
import type { Host } from './support/host.ts';
import type { Volume } from './support/smapi.ts';
import { type ActiveDisk, activate, attachSr, detachSr, type ImageFormat, type Sr } from './support/sr.ts';
import { createVolume, temporarySr } from './support/temporary-sr.ts';
import { expectNoTraces } from './support/traces.ts';
import { type GuestDisk, GuestWriter, XenGuest } from './support/xen-guest.ts';

const mebibyte = 1_048_576n;

export const xen: Scenario = {
  letter: 'm',
  title: 'guests of a real hypervisor',
  proves:
    'a host that Xen runs below is a full host of the SR; its paravirtualised guests read and write disks by blkback and by qdisk, plugged with what attach said; a disk is snapshotted, merged and grown while its guest writes, and goes to another host and back',
  hosts: 2,
  async run(stage) {
    const { hosts, host, target, step, afterwards } = stage;
    const dom0 = host(2);
    await step(`${dom0.name} starts with Xen`, async () => {
      const { machine } = dom0;
      await leaveCluster(dom0);
      await machine.powerCut();
      const { undo } = await startWithXen(machine);
      afterwards(async () => {
        if (await machine.hasPower()) {
          await leaveCluster(dom0).catch(() => {});
          await machine.powerCut();
        }
        await undo();
        await machine.start();
      });
      const version = await dom0.sh('xl info | grep -E "^(xen_version|total_memory|free_memory)"');
      return version.trim().replaceAll(/\s*\n/g, ', ').replaceAll(/ +: /g, ' ');
    });
    await stage.haveCluster();
    let guest: XenGuest | undefined;
    await step('a guest without disks', async () => {
      guest = await XenGuest.start(dom0, 'guest');
      afterwards(async () => guest?.destroy());
      return (await guest.run('uname -r')).trim();
    });
    for (const [format, number] of [
      ['qcow2', 1],
      ['raw', 2],
    ] as const) {
      const sr = await temporarySr(
        stage,
        host(1),
        { target: 'pool', number },
        `the SR of scenario m`,
        format,
      );
      await attachSr(hosts, sr);
      await useByBlkback(stage, dom0, guest as XenGuest, sr, format);
      await useByQdisk(stage, dom0, sr, format);
      await step('SR.detach on both hosts', async () => {
        await detachSr(hosts, sr);
        return 'nothing is left in the way';
      });
    }
    await step('what is left', async () => {
      await guest?.destroy();
      for (const each of hosts) await expectNoTraces(each, target);
      return 'nothing';
    });
  },
};

/** Others would fence a member that loses its power, and one that starts with Xen is late for a cluster at first. */
async function leaveCluster(host: Host): Promise<void> {
  await stopCluster(host);
  await host.exec(['systemctl', 'disable', '--quiet', 'corosync', 'dlm'], { expect: 'any' });
}

/** A guest's disk by blkback: hot plug, live snapshot, merge and growth, and hand-over. */
async function useByBlkback(
  { host, step, afterwards }: Stage,
  dom0: Host,
  guest: XenGuest,
  sr: Sr,
  format: ImageFormat,
): Promise<void> {
  const other = host(1);
  const volume = await createVolume(other, sr, 'a disk of a guest', 64);
  const { key } = volume;
  let active: ActiveDisk | undefined;
  let disk: GuestDisk | undefined;
  const plug = async (): Promise<GuestDisk> => {
    active = await activate(dom0, await stat(dom0, sr, volume), '1');
    const plugged = guestDisk(active, 'xvda', 'phy');
    await guest.plug(plugged);
    return plugged;
  };
  const unplug = async (plugged: GuestDisk): Promise<void> => {
    await guest.unplug(plugged);
    await active?.deactivate();
    active = undefined;
  };
  afterwards(async () => {
    if (active !== undefined) await guest.destroy();
    await active?.deactivate();
  });
  await step(`a ${format} disk plugged into the running guest`, async () => {
    disk = await plug();
    const size = (await guest.run('cat /sys/block/xvda/size')).trim();
    assert.equal(BigInt(size) * 512n, volume.virtual_size);
    return `${disk.params} is xvda there, of ${size} sectors`;
  });
  const writer = new GuestWriter(guest, disk as GuestDisk, `${format}-${Date.now()}`);
  await writer.start();
  await step('the guest writes', async () => {
    await writer.more(30);
    const requests = await dom0.sh('cat /sys/bus/xen-backend/devices/vbd-*/statistics/wr_req');
    assert(Number(requests.trim().split('\n').at(-1)) > 0);
    return `${await writer.count()} blocks; blkback has done ${requests.trim().split('\n').at(-1)} requests to write`;
  });
  if (format === 'qcow2') {
    await step('snapshots while the guest writes', async () => {
      for (let taken = 0; taken < 3; taken++) {
        await dom0.call('Volume.snapshot', { sr: sr.uuid, key });
        await writer.more(10);
      }
      return `${await writer.count()} blocks without an error`;
    });
    await step('a merge while the guest writes', async () => {
      for (const each of await dom0.call('SR.ls', { sr: sr.uuid }))
        if (each.key !== key) await other.call('Volume.destroy', { sr: sr.uuid, key: each.key });
      const { stdout } = await dom0.exec(['gfs2-sr', 'gc', 'run', sr.uuid], { timeout: 300_000 });
      assert.match(stdout, /: 2 images merged/);
      await writer.more(10);
      return `${stdout.trim()}; ${await writer.count()} blocks without an error`;
    });
  }
  await step('the disk grows while the guest writes', async () => {
    const size = volume.virtual_size + 16n * mebibyte;
    await dom0.call('Volume.resize', { sr: sr.uuid, key, new_size: size });
    await writer.more(10);
    // blkback tells its guest with the next request.
    await guest.run(`until [ "$(cat /sys/block/xvda/size)" = ${size / 512n} ]; do usleep 100000; done`);
    return `the guest sees ${size} bytes; ${await writer.count()} blocks without an error`;
  });
  await step(`the disk goes to ${other.name} and back`, async () => {
    await writer.stop();
    await unplug(disk as GuestDisk);
    const there = await activate(other, await stat(other, sr, volume));
    const seen = await writer.check(other, there.device);
    const { sha256 } = await writeData(other, there.device, 8);
    await there.deactivate();
    disk = await plug();
    const digest = await guest.run('dd if=/dev/xvda bs=1048576 count=8 2>/dev/null | sha256sum');
    assert.equal(digest.slice(0, 64), sha256);
    await unplug(disk);
    return `on ${other.name} ${seen}; the guest reads what ${other.name} wrote, SHA-256 ${sha256.slice(0, 12)}…`;
  });
  await other.call('Volume.destroy', { sr: sr.uuid, key });
}

/** A guest that has its disk from its start, by QEMU in dom0. */
async function useByQdisk(
  { host, step, afterwards }: Stage,
  dom0: Host,
  sr: Sr,
  format: ImageFormat,
): Promise<void> {
  const volume = await createVolume(host(1), sr, 'a disk by qdisk', 32);
  await step(`a guest with a ${format} disk by qdisk`, async () => {
    const active = await activate(dom0, volume, '2');
    let guest: XenGuest | undefined;
    const end = async (): Promise<void> => {
      await guest?.destroy();
      await active.deactivate();
    };
    let isOver = false;
    afterwards(async () => {
      if (!isOver) await end();
    });
    guest = await XenGuest.start(dom0, `qdisk-${format}`, [guestDisk(active, 'xvda', 'qdisk')]);
    await guest.run('dd if=/dev/urandom of=/dev/xvda bs=1048576 count=4 conv=fsync,notrunc 2>/dev/null');
    const digest = (await guest.run('dd if=/dev/xvda bs=1048576 count=4 2>/dev/null | sha256sum')).slice(
      0,
      64,
    );
    await end();
    isOver = true;
    const there = await activate(host(1), volume);
    assert.equal(await readDigest(host(1), there.device, 4), digest);
    await there.deactivate();
    return `${host(1).name} reads what the guest wrote, SHA-256 ${digest.slice(0, 12)}…`;
  });
  await host(1).call('Volume.destroy', { sr: sr.uuid, key: volume.key });
}

function guestDisk({ xenDisk }: ActiveDisk, name: string, backend: GuestDisk['backend']): GuestDisk {
  const { params, backend_type } = xenDisk ?? {};
  assert(params !== undefined, 'attach gave no XenDisk');
  assert.equal(backend_type, 'vbd');
  return { params, name, backend };
}

async function stat(host: Host, sr: Sr, { key }: Volume): Promise<Volume> {
  return await host.call('Volume.stat', { sr: sr.uuid, key });
}
