/** A merge, and a change of the catalog, whose host loses its power in the middle of both. */
import { strict as assert } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stage } from '../scenario.ts';
import { completeCluster, startCluster } from '../support/cluster.ts';
import { readDigest, writeData } from '../support/data.ts';
import { eventually } from '../support/eventually.ts';
import type { Host } from '../support/host.ts';
import { activate, attachSr, type Sr } from '../support/sr.ts';
import { createVolume } from '../support/temporary-sr.ts';

/** Of data before a snapshot, and of data since then, which a merge moves. */
const before = 8;
const since = 40;

export async function mergeThroughPowerCut(stage: Stage, sr: Sr): Promise<void> {
  const { hosts, host, vagrant, step, afterwards } = stage;
  const [merging, other] = [host(2), host(1)];
  const machine = vagrant.machine(merging.name);
  afterwards(async () => {
    if (!(await machine.hasPower())) await machine.start();
  });
  const { key } = await createVolume(merging, sr, 'merged', 64);
  const current = () => other.call('Volume.stat', { sr: sr.uuid, key });
  let sha256 = '';
  await step('a volume with a snapshot that is gone', async () => {
    let disk = await activate(merging, await current());
    await writeData(merging, disk.device, before);
    await disk.deactivate();
    const snapshot = await merging.call('Volume.snapshot', { sr: sr.uuid, key });
    disk = await activate(merging, await current());
    ({ sha256 } = await writeData(merging, disk.device, since));
    await merging.call('Volume.destroy', { sr: sr.uuid, key: snapshot.key });
    const { stdout } = await other.exec(['gfs2-sr', 'gc', 'run', sr.uuid], { timeout: 120_000 });
    await disk.deactivate();
    assert.match(stdout, /: 0 images merged, left for later: 1 in use/);
    return `${other.name} does not merge it while its disk runs on ${merging.name}`;
  });
  await step(`${merging.name} loses its power while it merges`, async () => {
    const ended = merging
      .exec(['gfs2-sr', 'gc', 'run', sr.uuid, '--rate', '1'], { timeout: 600_000 })
      .then(({ stdout }) => stdout)
      .catch(() => undefined);
    await eventually('the merge', { within: 60 }, () => merging.exec(['pgrep', '-f', 'qemu-img commit']));
    await sleep(6_000);
    const changing = await changeHalfway(merging, sr);
    await machine.powerCut();
    assert.equal(await ended, undefined, 'the merge was over before');
    await changing.ended.catch(() => undefined);
    return `${before} MiB with ${since} MiB, about a sixth of it done; the catalog is half changed`;
  });
  await step(`${other.name} takes the change of the catalog back`, async () => {
    await eventually('the fencing', { within: 180 }, async () => {
      const fences = stage.fenceEvents().filter((event) => event.machine === merging.name);
      assert(fences.some(({ answer }) => answer.startsWith('ok')));
    });
    const folder = other.mountPoint(sr.uuid);
    const first = await other.sh('od -An -tu1 -N1 "$1/catalog.sqlite-journal"', [folder]);
    assert.notEqual(Number(first), 0, 'nothing of the change was on the storage');
    const volumes = await other.call('SR.ls', { sr: sr.uuid });
    assert.deepEqual(
      volumes.map(({ description }) => description),
      volumes.map(() => ''),
    );
    return `its journal was there; ${volumes.length} volumes as they were`;
  });
  await step(`${other.name} ends the merge`, async () => {
    const said = await eventually('the merge', { within: 180 }, async () => {
      const { stdout } = await other.exec(['gfs2-sr', 'gc', 'run', sr.uuid], { timeout: 300_000 });
      assert.match(stdout, /: 1 images merged/);
      return stdout.trim();
    });
    const files = (await other.sh('ls "$1/images"', [other.mountPoint(sr.uuid)])).trim().split('\n');
    assert.equal(files.length, 1, files.join(' '));
    const disk = await activate(other, await current());
    assert.equal(await readDigest(other, disk.device, since), sha256);
    await disk.deactivate();
    return `${said}; all its data is there`;
  });
  await step(`${merging.name} again`, async () => {
    await machine.start();
    await startCluster(merging);
    await completeCluster(hosts, 120);
    await attachSr([merging], sr);
    const disk = await activate(merging, await current());
    assert.equal(await readDigest(merging, disk.device, since), sha256);
    await disk.deactivate();
    return 'it reads the same data';
  });
}

/**
 * Changes all volumes' descriptions in a transaction that does not end, so far that some of it is in the catalog's
 * file already; by the rules of docs/sr-layout.md. Answers when it is there, with the end of the command.
 */
async function changeHalfway(host: Host, { uuid }: Sr): Promise<{ readonly ended: Promise<unknown> }> {
  const script = [
    'cd "$1"; exec 9<locks/catalog; flock -x 9',
    'sqlite3 "file:catalog.sqlite?vfs=unix-none" <<END',
    'PRAGMA journal_mode = PERSIST; PRAGMA synchronous = FULL; PRAGMA cache_size = 1; BEGIN IMMEDIATE;',
    'UPDATE volumes SET description = hex(zeroblob(500000));',
    '.shell echo inside; sleep 600',
    'END',
  ].join('\n');
  return await new Promise((resolve, reject) => {
    const running = host.exec(['bash', '-c', script, 'sh', host.mountPoint(uuid)], {
      timeout: 600_000,
      onLine: (line) => {
        if (line === 'inside') resolve({ ended: running });
      },
    });
    running.then(() => reject(new Error('the change of the catalog has ended')), reject);
  });
}
