/** The device mapper's multipath maps, by multipathd where it runs. */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeFileAtomically } from '../../../src/atomic-file.ts';
import { log } from '../../../src/log.ts';
import { PluginError } from '../../../src/smapi/errors.ts';
import { unitStates } from '../../../src/systemd/unit-states.ts';
import { attempt, run, writeToKernel } from './host-command.ts';
import { withRecords } from './locks.ts';
import type { Path } from './model.ts';
import { replacementTimeout } from './record-text.ts';
import { type MapAttributes, readHolders, readMap, readMaps, recoveryTimeoutFile } from './sysfs.ts';

/** Where multipathd reads settings of single LUNs. */
const settingsFolder = '/etc/multipath/conf.d';
/** Milliseconds for multipathd to make a map of all paths. */
const mapPatience = 20_000;
/** Milliseconds for one command about a map. */
const timeout = 15_000;

/**
 * The device to mount: where multipathd runs, its map of the LUN with all paths, which lets I/O wait while
 * there is none; else one of the paths, whose session lets I/O wait for it.
 *
 * @param paths at least one, as `waitForPaths` answers them.
 * @throws PluginError `MultipathFailed` where multipathd makes no map, or none that waits.
 */
export async function blockDevice(scsiId: string, paths: readonly Path[]): Promise<string> {
  const [first] = paths;
  if (first === undefined) throw new TypeError('a LUN without paths has no device');
  if (await multipathdRuns()) {
    await configureQueueing(scsiId);
    const map = await waitForMap(scsiId, paths);
    await ensureQueueing(map);
    return `/dev/mapper/${map.name}`;
  }
  // Left by a multipathd that was stopped: its paths can be used through it alone.
  const map = mapOf(scsiId);
  if (map !== undefined) {
    await ensureQueueing(map);
    return `/dev/mapper/${map.name}`;
  }
  await Promise.all(paths.map(({ session }) => waitWhenLost(session.id)));
  return first.device;
}

/** The map of a LUN, where there is one. */
export function mapOf(scsiId: string): MapAttributes | undefined {
  return readMaps().find(({ uuid }) => uuid === `mpath-${scsiId}`);
}

/** The multipath map that a disk, such as `sdb`, is a path of. */
export function mapOver(disk: string): MapAttributes | undefined {
  return readHolders(disk)
    .flatMap((holder) => readMap(holder) ?? [])
    .find(({ uuid }) => uuid.startsWith('mpath-'));
}

/**
 * Removes a map that nobody uses. I/O that waits in it fails first, for it would wait for ever.
 *
 * @throws PluginError `MultipathFailed`.
 */
export async function flushMap({ name, uuid }: MapAttributes): Promise<void> {
  await attempt('dmsetup', ['message', name, '0', 'fail_if_no_path'], { timeout });
  const isThere = (): boolean => readMaps().some((map) => map.uuid === uuid);
  const { said } = await attempt('multipath', ['-f', name], { timeout });
  // Partitions that kpartx or udev made of it go with it, some time later.
  for (let tries = 0; isThere() && tries < 20; tries += 1) await sleep(100);
  if (!isThere()) return;
  throw new PluginError(
    'MultipathFailed',
    `The multipath map ${name} cannot be removed (${said || 'multipath -f did nothing'}); end what uses it and repeat the call.`,
  );
}

/** Makes a map as large as its paths. */
export async function resizeMap({ name }: MapAttributes): Promise<void> {
  const { said, exitCode } = await attempt('multipathd', ['resize', 'map', name], { timeout });
  // multipathd's client answers in words.
  if (exitCode !== 0 || !/^ok$/i.test(said)) log('warning', `multipathd did not resize ${name}: ${said}`);
}

/** Forgets what multipathd was told of a LUN. */
export function forgetQueueing(scsiId: string): void {
  rmSync(settingsFile(scsiId), { force: true });
}

async function multipathdRuns(): Promise<boolean> {
  const unit = 'multipathd.service';
  const states = await unitStates([unit], 5_000).catch(() => undefined);
  return states?.get(unit)?.active === 'active';
}

/**
 * Tells multipathd that I/O to the LUN waits while it has no path. It would take back what is only said to
 * the map, whenever it makes the map's table anew.
 */
async function configureQueueing(scsiId: string): Promise<void> {
  await withRecords(async () => {
    const text = settingsFor(scsiId);
    const file = settingsFile(scsiId);
    if (existsSync(file) && readFileSync(file, 'utf8') === text) return;
    mkdirSync(settingsFolder, { recursive: true });
    writeFileAtomically(file, text, 0o644);
    await run('multipathd', ['reconfigure'], { timeout });
  });
}

/** What multipathd is told of a LUN. */
export function settingsFor(scsiId: string): string {
  return `# Made by gfs2-iscsi-sr, which removes it when the SR is detached: an I/O error would cost gfs2 this host.
multipaths {
	multipath {
		wwid "${scsiId}"
		no_path_retry queue
	}
}
`;
}

function settingsFile(scsiId: string): string {
  return `${settingsFolder}/gfs2-iscsi-sr-${encodeURIComponent(scsiId)}.conf`;
}

/** Waits for the map with all paths; multipathd is offered those that it does not take by itself. */
async function waitForMap(scsiId: string, paths: readonly Path[]): Promise<MapAttributes> {
  const start = performance.now();
  let offered = 0;
  for (;;) {
    const map = mapOf(scsiId);
    const left = paths
      .map(({ device }) => device.slice('/dev/'.length))
      .filter((disk) => mapOver(disk) === undefined);
    if (map !== undefined && left.length === 0) return map;
    const now = performance.now();
    if (now >= start + mapPatience) {
      if (map === undefined) throw noMap(scsiId, left[0] ?? '');
      log('warning', `multipathd has left ${left.join(', ')} out of the map ${map.name}.`);
      return map;
    }
    if (now >= start + 1_000 + offered * 4_000) {
      offered += 1;
      // By default multipathd only takes what it had before.
      if (map === undefined) await attempt('multipath', ['-a', `/dev/${left[0]}`], { timeout });
      for (const disk of left) await attempt('multipathd', ['add', 'path', disk], { timeout });
    }
    await sleep(200);
  }
}

function noMap(scsiId: string, disk: string): PluginError {
  return new PluginError(
    'MultipathFailed',
    `multipathd runs on this host but makes no map of the LUN ${scsiId}; see what "multipath -v3 /dev/${disk}" says, and take the LUN off the blacklist in /etc/multipath.conf.`,
  );
}

async function ensureQueueing({ name }: MapAttributes): Promise<void> {
  const queues = async (): Promise<boolean> => {
    const { stdout } = await run('dmsetup', ['table', name], { timeout });
    return stdout.includes('queue_if_no_path');
  };
  if (await queues()) return;
  const { said } = await attempt('dmsetup', ['message', name, '0', 'queue_if_no_path'], { timeout });
  if (await queues()) return;
  throw new PluginError(
    'MultipathFailed',
    `The multipath map ${name} does not let I/O wait while it has no path (${said || 'no_path_retry is not queue'}); set no_path_retry to queue for it in /etc/multipath.conf.`,
  );
}

/** Lets a session's I/O wait for it, where its record was made by someone else, or multipathd was there. */
async function waitWhenLost(session: number): Promise<void> {
  const value = replacementTimeout < 0 ? 'off' : String(replacementTimeout);
  const file = recoveryTimeoutFile(session);
  if (readFileSync(file, 'utf8').trim() !== value) await writeToKernel(file, value, 5_000);
}
