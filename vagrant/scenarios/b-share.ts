import { strict as assert } from 'node:assert';
import type { LunName } from '../lab/target.ts';
import type { Scenario } from './scenario.ts';
import { readDigest, type Written, writeData } from './support/data.ts';
import { activate, attachSr } from './support/sr.ts';
import { createVolume, temporarySr } from './support/temporary-sr.ts';

const lun: LunName = { target: 'pool', number: 1 };

export const share: Scenario = {
  letter: 'b',
  title: 'one SR on all hosts',
  proves:
    'an SR made on one host is attached on all at once; a volume made on one is there on the others; a disk runs on one host at a time, and after the hand-over another one reads the bytes that were written',
  hosts: 2,
  async run(stage) {
    const { hosts, host, step } = stage;
    const [writer, reader] = [host(1), host(2)];
    await stage.haveCluster();
    const sr = await temporarySr(stage, writer, lun, 'the SR of scenario b');

    await step('SR.attach on all hosts at once', async () => {
      await attachSr(hosts, sr);
      for (const each of hosts) assert(await each.hasMounted(sr.uuid), `not mounted on ${each.name}`);
      const stats = await Promise.all(hosts.map((each) => each.call('SR.stat', { sr: sr.uuid })));
      for (const { health, clustered } of stats) {
        assert.equal(health[0], 'Healthy', health[1]);
        assert.equal(clustered, true);
      }
      const [session] = await writer.sessions();
      return `mounted on ${hosts.map(({ name }) => name).join(', ')}, each by ${(await writer.sessions()).length} sessions, such as ${session?.portal},${session?.group}`;
    });

    await step('a volume of one host on the others', async () => {
      const volume = await createVolume(writer, sr, 'shared', 64);
      await writer.call('Volume.set', { sr: sr.uuid, key: volume.key, k: 'vdi-type', v: 'user' });
      for (const each of hosts) {
        const listed = await each.call('SR.ls', { sr: sr.uuid });
        assert.deepEqual(
          listed.map(({ key, name, virtual_size, keys }) => ({ key, name, virtual_size, keys })),
          [{ key: volume.key, name: 'shared', virtual_size: 64n * 1_048_576n, keys: { 'vdi-type': 'user' } }],
          each.name,
        );
      }
      return `${volume.key} is in SR.ls of all hosts`;
    });

    const [volume] = await writer.call('SR.ls', { sr: sr.uuid });
    assert(volume !== undefined);
    const written: Written[] = [];
    for (const [from, to] of [
      [writer, reader],
      [reader, writer],
    ] as const) {
      await step(`${from.name} writes, hands over, ${to.name} reads`, async () => {
        const disk = await activate(from, volume);
        const before = written.at(-1);
        if (before !== undefined)
          assert.equal(await readDigest(from, disk.device, before.mebibytes), before.sha256);
        const now = await writeData(from, disk.device, 16);
        written.push(now);
        const refused = await activate(to, volume).then(
          () => undefined,
          (error: unknown) => error,
        );
        assert(refused instanceof Error, `the disk runs on ${from.name}, and must not on ${to.name} as well`);
        await disk.deactivate();
        const there = await activate(to, volume);
        const digest = await readDigest(to, there.device, now.mebibytes);
        await there.deactivate();
        assert.equal(digest, now.sha256);
        return `${now.mebibytes} MiB, SHA-256 ${digest.slice(0, 12)}… on both; while it ran there: ${refused.message}`;
      });
    }

    await step('Volume.destroy on another host', async () => {
      await reader.call('Volume.destroy', { sr: sr.uuid, key: volume.key });
      for (const each of hosts) assert.deepEqual(await each.call('SR.ls', { sr: sr.uuid }), []);
      return 'gone from SR.ls of all hosts';
    });
  },
};
