import { strict as assert } from 'node:assert';
import type { LunName } from '../lab/target.ts';
import { compareLocks } from './c-hammer/locks.ts';
import type { HammerOrder, HammerReport, KnownVolume } from './on-host/hammer.ts';
import type { Scenario } from './scenario.ts';
import type { Host } from './support/host.ts';
import { runProgram } from './support/on-host.ts';
import { attachSr, type Sr } from './support/sr.ts';
import { createVolume, temporarySr } from './support/temporary-sr.ts';

const lun: LunName = { target: 'pool', number: 1 };
/** A minute unless told. */
const seconds = Number(process.env.LAB_HAMMER_SECONDS ?? 60);
/** On each host. */
const workers = 3;

/** What a host says of its calls. */
interface Result {
  readonly host: Host;
  readonly report: HammerReport;
}

export const hammer: Scenario = {
  letter: 'c',
  title: 'all hosts hammer the catalog',
  proves:
    'what any host was told to be done is what every host sees in the end, and nothing else; no call fails, and no host starves',
  hosts: 3,
  async run(stage) {
    const { hosts, host, step } = stage;
    await stage.haveCluster();
    const sr = await temporarySr(stage, host(1), lun, 'the SR of scenario c');
    await attachSr(hosts, sr);
    const shared: string[] = [];
    for (const name of ['first', 'second']) shared.push((await createVolume(host(1), sr, name, 1)).key);

    const results: Result[] = [];
    await step(`${workers} workers on each of ${hosts.length} hosts, ${seconds} s`, async () => {
      results.push(...(await Promise.all(hosts.map((each) => runHammer(each, sr, shared)))));
      return describeRates(results);
    });
    await step('calls that failed, and answers that were wrong', async () => {
      const failures = results.flatMap(({ host: { name }, report }) =>
        report.failures.map((failure) => `${name}: ${failure}`),
      );
      assert.deepEqual(failures, []);
      return 'none';
    });
    await step('fairness', async () => {
      const counts = results.map(({ report }) => report.calls.length);
      const all = counts.reduce((sum, count) => sum + count, 0);
      assert(all > 0);
      const shares = results.map(
        ({ host: { name }, report }) => `${name} ${Math.round((100 * report.calls.length) / all)} %`,
      );
      const starved = counts.some((count) => count < all / counts.length / 4);
      assert(!starved, `a host starved: ${shares.join(', ')}`);
      return shares.join(', ');
    });
    for (const each of hosts)
      await step(`the catalog as ${each.name} sees it`, () => checkCatalog(each, sr, shared, results));
    await step('the storage', () => checkStorage(host(1), sr));
    await compareLocks(stage, sr);
  },
};

async function runHammer(host: Host, { uuid }: Sr, shared: readonly string[]): Promise<Result> {
  const order: HammerOrder = { sr: uuid, host: host.name, workers, seconds, shared };
  const { stdout } = await runProgram(host, 'hammer', [], {
    input: JSON.stringify(order),
    // The calls that are under way when the time is over have deadlines of their own.
    timeout: (seconds + 240) * 1000,
  });
  return { host, report: JSON.parse(stdout) as HammerReport };
}

/** How many calls, and how long they took: the median and the longest. */
function describeRates(results: readonly Result[]): string {
  return results
    .map(({ host, report: { calls } }) => {
      const names = [...new Set(calls.map(({ call }) => call))].sort();
      const rates = names.map((name) => {
        const times = calls.filter(({ call }) => call === name).map(({ milliseconds }) => milliseconds);
        times.sort((one, other) => one - other);
        const inSeconds = (milliseconds = 0): string => (milliseconds / 1000).toFixed(1);
        return `${name} ${times.length} (${inSeconds(times[Math.floor(times.length / 2)])}, at most ${inSeconds(times.at(-1))} s)`;
      });
      return `\n             ${host.name}: ${calls.length} calls, ${(calls.length / seconds).toFixed(1)}/s: ${rates.join(', ')}`;
    })
    .join('');
}

/** Compares all volumes that a host lists with what was acknowledged anywhere. */
async function checkCatalog(
  host: Host,
  sr: Sr,
  shared: readonly string[],
  results: readonly Result[],
): Promise<string> {
  const listed = await host.call('SR.ls', { sr: sr.uuid });
  const reports = results.map(({ report }) => report);
  const own = reports.flatMap(({ volumes }) => volumes);
  const destroyed = reports.flatMap((report) => report.destroyed);
  const back = listed.filter(({ key }) => destroyed.includes(key));
  assert.deepEqual(back, [], 'a destroyed volume is back');
  assert.deepEqual(
    sorted(listed.filter(({ key }) => !shared.includes(key))),
    sorted(own),
    'volumes are not as they were acknowledged',
  );
  for (const key of shared) {
    const found = listed.find((volume) => volume.key === key);
    const parts = reports.flatMap((report) => report.shared.filter((part) => part.key === key));
    const names = parts.flatMap((part) => part.names);
    assert.deepEqual(found?.keys, Object.assign({}, ...parts.map(({ keys }) => keys)));
    // Each worker gave its names one after the other, so the last one of all is the last one of some worker.
    assert(names.length === 0 || names.includes(found?.name ?? ''), `${found?.name} is no last name`);
  }
  return `${own.length} volumes of the workers and ${shared.length} shared ones, as acknowledged; none of ${destroyed.length} destroyed ones`;
}

function sorted(volumes: readonly KnownVolume[]): readonly KnownVolume[] {
  return volumes
    .map(({ key, name, keys }) => ({ key, name, keys }))
    .sort((one, other) => (one.key < other.key ? -1 : 1));
}

/** Compares image files with the catalog, and has SQLite check that. */
async function checkStorage(host: Host, { uuid }: Sr): Promise<string> {
  const folder = host.mountPoint(uuid);
  const files = (await host.sh('ls -A "$1/images"', [folder])).split('\n').filter((name) => name !== '');
  const volumes = await host.call('SR.ls', { sr: uuid });
  const images = volumes.map(({ uri }) => uri[0]?.split('/').at(-1));
  assert.deepEqual(files.sort(), images.sort(), 'image files and volumes differ');
  const said = await host.sh(
    'flock --shared "$1/locks/catalog" sqlite3 "file:$1/catalog.sqlite?vfs=unix-none&mode=ro&immutable=1" ' +
      '"PRAGMA integrity_check; PRAGMA foreign_key_check; SELECT count(*) FROM intents"',
    [folder],
  );
  assert.deepEqual(said.trim().split('\n'), ['ok', '0']);
  return `${files.length} image files, one for each volume; the database is whole, and nothing is left half-done`;
}
