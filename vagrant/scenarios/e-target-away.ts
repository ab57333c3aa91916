import { strict as assert } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LunName, portals } from '../lab/target.ts';
import type { Scenario } from './scenario.ts';
import { eventually } from './support/eventually.ts';
import { becomesHealthy, describeHealth } from './support/health.ts';
import type { Host } from './support/host.ts';
import { type Polling, slowestAnswer, startPolling } from './support/polling.ts';
import { breakPortals, healPortals } from './support/portal-faults.ts';
import type { SrStat, Volume } from './support/smapi.ts';
import { type ActiveDisk, activate, attachSr, type Sr } from './support/sr.ts';
import { createVolume, temporarySr } from './support/temporary-sr.ts';
import { checkBlocks, longestGap, startWriter, type Writer } from './support/writer.ts';

const lun: LunName = { target: 'pool', number: 1 };
const addresses = portals.pool.map(({ address }) => address);
/** Seconds for which the target is away. */
const away = 30;

/** A host with the SR, and a disk that it writes to. */
interface User {
  readonly host: Host;
  readonly volume: Volume;
  readonly disk: ActiveDisk;
  readonly writer: Writer;
  /** What the SR is mounted from. */
  readonly device: string;
}

/** Something that happens to the target. */
interface Fault {
  begin(): Promise<void>;
  end(): Promise<void>;
}

/** A host during a fault. */
interface Watch {
  readonly user: User;
  readonly stats: Polling<SrStat>;
  /** Volume.set with numbers that grow; undefined where a host is to wait for longer than calls do. */
  readonly sets: Polling<bigint> | undefined;
  readonly firstBlock: number;
  readonly logMark: string;
}

export const targetAway: Scenario = {
  letter: 'e',
  title: 'the target goes away and comes back',
  proves:
    'I/O and calls wait for the target and go on without an error, with multipathd and without; SR.stat answers at all times and says what is lost; one portal of several is missed by nobody who has another one',
  hosts: 2,
  async run(stage) {
    const { host, target, vagrant, step, afterwards } = stage;
    const [plain, multipath] = [host(1), host(2)];
    const machine = vagrant.machine('target');
    await stage.haveCluster();
    const multipathd = ['multipathd.socket', 'multipathd.service'];
    await plain.exec(['systemctl', 'stop', ...multipathd]);
    afterwards(() => multipath.exec(['systemctl', 'stop', ...multipathd]));
    await multipath.exec(['systemctl', 'start', 'multipathd.service']);
    const sr = await temporarySr(stage, plain, lun, 'the SR of scenario e');
    await attachSr([plain, multipath], sr);
    afterwards(async () => {
      await healPortals(machine);
      await machine.heal('lab-storage');
    });

    let users: readonly User[] = [];
    afterwards(() => Promise.all(users.map(stopUser)));
    let used = '';
    await step('both hosts write to disks of their own', async () => {
      for (const each of [plain, multipath]) users = [...users, await startUser(each, sr)];
      const [one, other] = users.map(({ device }) => device);
      assert.match(one ?? '', /^\/dev\/sd[a-z]+$/);
      assert.match(other ?? '', /^\/dev\/mapper\//);
      used = await portalOf(plain, one ?? '');
      return `${plain.name} to ${one} over portal ${used}, ${multipath.name} with multipathd to ${other}`;
    });
    const faults: Readonly<Record<string, Fault>> = {
      'all packets of the target vanish': {
        begin: () => machine.cut('lab-storage', { carrier: 'kept' }),
        end: () => machine.heal('lab-storage'),
      },
      'the target refuses all connections': {
        begin: () => breakPortals(machine, addresses, 'refused'),
        end: () => healPortals(machine),
      },
      'the target stands still': { begin: () => machine.freeze(), end: () => machine.thaw() },
    };
    for (const [what, fault] of Object.entries(faults))
      await step(`${what} for ${away} s`, () => endureAbsence(sr, users, fault));

    const unused = addresses.find((address) => address !== used) ?? '';
    await step(`only portal ${unused} is silent`, () => endureLostPath(machine, unused, sr, users, []));
    await step(`only portal ${used} is silent, the one that ${plain.name} works over`, () =>
      endureLostPath(machine, used, sr, users.slice(1), users.slice(0, 1)),
    );
    await step('what was flushed', async () => {
      const seen: string[] = [];
      for (const user of users) {
        await user.writer.stop();
        seen.push(`${user.host.name}: ${await checkBlocks(user.host, user.disk.device, user.writer)}`);
        await user.disk.deactivate();
      }
      users = [];
      const { open, lost } = await target.sessions('pool');
      return `${seen.join('; ')} (the target has ${open} sessions, and has lost ${lost} so far)`;
    });
  },
};

async function startUser(host: Host, sr: Sr): Promise<User> {
  const volume = await createVolume(host, sr, `of ${host.name}`, 16);
  const disk = await activate(host, volume);
  const device = (await host.sh('findmnt -n -o SOURCE "$1"', [host.mountPoint(sr.uuid)])).trim();
  return { host, volume, disk, device, writer: await startWriter(host, disk.device) };
}

async function stopUser({ disk, writer }: User): Promise<void> {
  await writer.stop();
  await disk.deactivate();
}

/** The address of the portal that a disk such as `/dev/sda` is reached over. */
async function portalOf(host: Host, device: string): Promise<string> {
  const script =
    'session=$(readlink -f "/sys/block/$1/device" | grep -o "session[0-9]*"); ' +
    'cat /sys/class/iscsi_session/$session/device/connection*/iscsi_connection/connection*/persistent_address';
  return (await host.sh(script, [device.slice('/dev/'.length)])).trim();
}

/** The whole target is away for some time. */
async function endureAbsence(sr: Sr, users: readonly User[], fault: Fault): Promise<string> {
  const watches = await Promise.all(users.map((user) => startWatch(user, sr, true)));
  await endure(sr, watches, fault, () => sleep(away * 1000));
  for (const { stats } of watches) {
    const told = stats.answers.find(({ value }) => value?.health[0] === 'Unreachable');
    assert.match(told?.value?.health[1] ?? '', /since \d{4}-/, describeHealth(stats.answers));
  }
  return describeWatches(watches);
}

/** One portal is away until each host has said so, and those that have another path in use have written on. */
async function endureLostPath(
  machine: Host['machine'],
  address: string,
  sr: Sr,
  goingOn: readonly User[],
  waiting: readonly User[],
): Promise<string> {
  const fault: Fault = {
    begin: () => breakPortals(machine, [address], 'silent'),
    end: () => healPortals(machine),
  };
  const watches = await Promise.all(
    // A host that waits for its only path while it has the catalog has all others wait for the catalog.
    [...goingOn, ...waiting].map((user) => startWatch(user, sr, waiting.length === 0)),
  );
  await endure(sr, watches, fault, async () => {
    for (const { user, stats } of watches) {
      const state = waiting.includes(user) ? 'Unreachable' : 'Healthy';
      await eventually(`${state} on ${user.host.name}`, { within: 90 }, async () => {
        const [kind, sentence] = stats.answers.at(-1)?.value?.health ?? [];
        assert(kind === state && sentence?.includes(address), describeHealth(stats.answers));
      });
    }
    for (const { writer } of goingOn) await writer.more(20, 60);
  });
  return describeWatches(watches);
}

/** Has a fault for as long as `meanwhile` takes; then all I/O goes on, without an error, and all is well again. */
async function endure(
  sr: Sr,
  watches: readonly Watch[],
  fault: Fault,
  meanwhile: () => Promise<unknown>,
): Promise<void> {
  await fault.begin();
  try {
    await meanwhile();
  } finally {
    await fault.end();
  }
  for (const { user } of watches) await user.writer.more(20, 120);
  for (const { user } of watches) await becomesHealthy(user.host, sr);
  for (const watch of watches) await endWatch(watch, sr);
}

async function startWatch(user: User, { uuid }: Sr, withSets: boolean): Promise<Watch> {
  const { host, volume, writer } = user;
  let number = BigInt(Date.now());
  const set = async (): Promise<bigint> => {
    number += 1n;
    await host.call('Volume.set', { sr: uuid, key: volume.key, k: 'number', v: String(number) });
    return number;
  };
  return {
    user,
    firstBlock: writer.count,
    logMark: await host.kernelLogMark(),
    stats: startPolling(() => host.call('SR.stat', { sr: uuid }, { timeout: 90_000 }), {
      seconds: 5,
      impatient: true,
    }),
    sets: withSets ? startPolling(set) : undefined,
  };
}

/** Stops watching, and fails where there was an error. */
async function endWatch({ user, stats, sets, logMark }: Watch, { uuid }: Sr): Promise<void> {
  const { host, volume, device } = user;
  await Promise.all([stats.stop(), sets?.stop()]);
  if (sets !== undefined) {
    const refusals = sets.answers.flatMap(({ refusal }) => refusal?.message ?? []);
    assert.deepEqual(refusals, []);
    const stored = (await host.call('Volume.stat', { sr: uuid, key: volume.key })).keys.number;
    assert.equal(stored, String(sets.answers.at(-1)?.value));
  }
  // Over multipath it is an error of a path only, which is why there are several.
  const ofPath = device.startsWith('/dev/mapper/') ? /dev sd[a-z]/ : /^$/;
  const complaints = (await host.kernelLogSince(logMark)).filter(
    (line) => /gfs2|I\/O error/i.test(line) && !ofPath.test(line),
  );
  assert.deepEqual(complaints, [], `the kernel of ${host.name} complains`);
}

function describeWatches(watches: readonly Watch[]): string {
  return watches
    .map(({ user: { host, writer }, firstBlock, stats, sets }) => {
      const seen = [
        `${writer.count - firstBlock} blocks, longest gap ${longestGap(writer, firstBlock).toFixed(1)} s`,
        ...(sets === undefined
          ? []
          : [`${sets.answers.length} times Volume.set, the longest ${slowestAnswer(sets).toFixed(1)} s`]),
        `SR.stat ${describeHealth(stats.answers)}`,
      ];
      return `\n             ${host.name}: ${seen.join('; ')}`;
    })
    .join('');
}
