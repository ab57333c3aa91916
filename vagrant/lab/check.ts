/**
 * `node vagrant/lab/check.ts`: tries every operation of the driver on the target and on host1 of a lab that
 * is up, and says what was seen and how long it took.
 */
import { strict as assert } from 'node:assert';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandFailure, CommandTimeout, InfrastructureError, type Machine } from '../lib/index.ts';
import { openLab } from './lab.ts';
import { place } from './place.ts';
import { networkDefinitions } from './topology.ts';

const mebibyte = 1024 * 1024;
const storage = 'lab-storage';
assert(networkDefinitions().some(({ name }) => name === storage));

const vagrant = openLab({ onProgress: () => {} });
const host = vagrant.machine('host1');
const target = vagrant.machine('target');
// Inside of the lab, so that lab-down takes it away whatever happens here.
const scratch = mkdtempSync(join(place.run, '../check-'));

/** Does one thing, and tells how long it took and what was seen. */
async function check(what: string, work: () => Promise<string>): Promise<void> {
  const started = performance.now();
  const seen = await work();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(`${seconds.padStart(6)} s  ${what}: ${seen}\n`);
}

/** Whether one machine reaches an address: the answers to two pings. */
async function reaches(from: Machine, address: string): Promise<boolean> {
  const ping = ['ping', '-c', '2', '-i', '0.5', '-W', '2', address];
  return (await from.exec(ping, { expect: 'any' })).exitCode === 0;
}

/** Waits until one machine reaches an address, and says for how long. */
async function waitUntilReached(from: Machine, address: string): Promise<string> {
  const started = performance.now();
  while (!(await reaches(from, address)))
    assert(performance.now() - started < 20_000, `${from.name} does not reach ${address}`);
  return `reached again ${((performance.now() - started) / 1000).toFixed(1)} s after heal`;
}

const carrier = async (): Promise<string> =>
  (await host.exec(['cat', '/sys/class/net/eth2/carrier'])).stdout.trim();
const bootId = async (): Promise<string> =>
  (await host.exec(['cat', '/proc/sys/kernel/random/boot_id'])).stdout.trim();

await check('status', async () => JSON.stringify(Object.fromEntries(await vagrant.status())));
await check('first command, with the connection', async () => (await host.exec(['hostname'])).stdout.trim());
await check('next command', async () => (await host.exec(['uname', '-r'])).stdout.trim());
await check('words, input, output, both streams, exit code', async () => {
  const result = await host.exec(['sh', '-c', 'cat; printf %s "$1" >&2; exit 7', 'sh', "a b'$c*"], {
    input: 'given\n',
    expect: [7],
  });
  assert.deepEqual(result, { stdout: 'given\n', stderr: "a b'$c*", exitCode: 7 });
  return JSON.stringify(result);
});
await check('a command that fails with 255', async () => {
  const error = await host.exec(['sh', '-c', 'echo no >&2; exit 255']).catch((reason: unknown) => reason);
  assert(error instanceof CommandFailure);
  return error.message;
});
await check('a command that does not end', async () => {
  const error = await host.exec(['sleep', '60'], { timeout: 3_000 }).catch((reason: unknown) => reason);
  assert(error instanceof CommandTimeout);
  return error.message;
});
await check('upload', async () => {
  await host.upload(import.meta.filename, '/root/check.ts');
  const { stdout } = await host.exec(['stat', '-c', '%s', '/root/check.ts']);
  assert.equal(Number(stdout), statSync(import.meta.filename).size);
  return `${stdout.trim()} bytes`;
});

await check('cut with the carrier lost', async () => {
  assert(await reaches(host, '10.90.2.10'), 'the target answers before it');
  await host.cut(storage, { carrier: 'lost' });
  await sleep(1_000);
  const seen = `carrier ${await carrier()}, target reached ${await reaches(host, '10.90.2.10')}`;
  await host.heal(storage);
  assert.equal(seen, 'carrier 0, target reached false');
  return seen;
});
await check('healed', async () => {
  const seen = await waitUntilReached(host, '10.90.2.10');
  return `carrier ${await carrier()}, target ${seen}`;
});
await check('cut with the carrier kept', async () => {
  await host.cut(storage, { carrier: 'kept' });
  const seen = `carrier ${await carrier()}, target reached ${await reaches(host, '10.90.2.10')}`;
  await host.heal(storage);
  assert.equal(seen, 'carrier 1, target reached false');
  return `${seen}; ${await waitUntilReached(host, '10.90.2.10')}`;
});
for (const direction of ['from-machine', 'to-machine'] as const) {
  await check(`packets dropped ${direction}`, async () => {
    const received = async (machine: Machine, device: string): Promise<number> =>
      Number((await machine.exec(['cat', `/sys/class/net/${device}/statistics/rx_packets`])).stdout);
    await host.drop(storage, direction);
    const before = [await received(target, 'eth1'), await received(host, 'eth2')] as const;
    await host.exec(['ping', '-q', '-c', '20', '-i', '0.05', '-W', '1', '10.90.2.10'], { expect: 'any' });
    const after = [await received(target, 'eth1'), await received(host, 'eth2')] as const;
    await host.heal(storage);
    const [atTarget, atHost] = [after[0] - before[0], after[1] - before[1]];
    // A few more than the 20 pings, or than none, may be there: neighbours are asked for, bridges talk.
    assert.equal(atTarget >= 20, direction === 'to-machine');
    assert(atHost < 10);
    const healed = await waitUntilReached(host, '10.90.2.10');
    return `${atTarget} packets came to the target, ${atHost} to the host; ${healed}`;
  });
}

await check('freeze and thaw', async () => {
  await host.freeze();
  const error = await host.exec(['true'], { timeout: 3_000 }).catch((reason: unknown) => reason);
  assert(error instanceof CommandTimeout || error instanceof InfrastructureError);
  assert(!(await reaches(target, '10.90.2.11')));
  await host.thaw();
  await host.exec(['true']);
  return `${error.message} After thaw it answers`;
});

await check('disk attached, and grown under the running machine', async () => {
  const path = join(scratch, 'disk.img');
  const file = openSync(path, 'w');
  ftruncateSync(file, 64 * mebibyte);
  closeSync(file);
  const disk = await target.attachDisk({ path, target: 'vdb', serial: 'lab-check' });
  await sleep(2_000);
  const look = ['lsblk', '-bndo', 'SIZE,SERIAL', '/dev/vdb'];
  const before = (await target.exec(look)).stdout.trim();
  await target.growDisk(disk, 96 * mebibyte);
  await sleep(2_000);
  const after = (await target.exec(look)).stdout.trim();
  await target.exec(['sh', '-c', 'printf written | dd of=/dev/vdb conv=fsync 2>/dev/null']);
  assert.equal(readFileSync(path).toString('latin1', 0, 7), 'written');
  await target.detachDisk(disk);
  await sleep(2_000);
  await target.exec(['test', '!', '-e', '/dev/vdb']);
  assert.match(before, /^67108864 +lab-check$/);
  assert.match(after, /^100663296 +lab-check$/);
  return `${before}, then ${after}; detached`;
});

await check('power cut', async () => {
  await host.exec(['sh', '-c', 'echo kept >/root/kept; sync']);
  const before = await bootId();
  await host.powerCut();
  assert.equal((await vagrant.status()).get('host1'), 'shutoff');
  const started = performance.now();
  await host.start();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  assert.notEqual(await bootId(), before);
  assert.equal((await host.exec(['cat', '/root/kept'])).stdout, 'kept\n');
  return `a new boot with the old disk, ssh ${seconds} s after the power came back`;
});
await check('the networks after it', async () => {
  assert(await reaches(host, '10.90.2.10'));
  return (await host.exec(['ip', '-br', '-4', 'address'])).stdout.trim().replaceAll(/\s+/g, ' ');
});
await check('halt and up', async () => {
  await vagrant.halt(['host1']);
  assert.equal((await vagrant.status()).get('host1'), 'shutoff');
  await vagrant.up(['host1']);
  assert(await reaches(host, '10.90.2.10'));
  return 'the target is reached';
});
await check('console and journal', async () => {
  const folder = join(scratch, 'logs');
  mkdirSync(folder);
  await host.collectLogs(folder);
  const console = readFileSync(join(folder, 'host1-console.log'), 'latin1');
  const journal = readFileSync(join(folder, 'host1-journal.log'), 'utf8');
  assert.match(console, /Linux version/);
  assert.match(journal, /sshd/);
  return `${console.length} bytes, ${journal.split('\n').length} lines`;
});

await vagrant.close();
rmSync(scratch, { recursive: true });
