import { setTimeout as sleep } from 'node:timers/promises';
import { log } from '../../../src/log.ts';
import { PluginError } from '../../../src/smapi/errors.ts';
import { dropClaim, isClaimed } from './claims.ts';
import { findRecord } from './database.ts';
import { writeToKernel } from './host-command.ts';
import { withTargets } from './locks.ts';
import { forgetTargets, logOut } from './logout.ts';
import type { Path, Session } from './model.ts';
import { flushMap, forgetQueueing, mapOf, mapOver } from './multipath.ts';
import { isUsable, pathsOver } from './paths.ts';
import { settleLogins } from './pending.ts';
import { sessionsOf } from './sessions.ts';
import { readDisks, unitFile } from './sysfs.ts';
import { type OpenDevices, readOpenDevices, usesOf } from './users.ts';

/** Milliseconds for a login that is still under way, which would leave a session behind. */
const settling = 30_000;
/** Milliseconds for the kernel to take a disk away, which flushes its cache. */
const deletionTimeout = 10_000;

/**
 * Lets go of a LUN, which nobody must use any more: removes its multipath map and its disks, ends the
 * sessions with the targets that were made for an SR and that nobody else uses, and removes our records of
 * them. What is gone already is no error.
 *
 * Sessions stay where another SR needs their target, where any other LUN of theirs is in use, and where
 * someone else's record made them.
 *
 * @throws PluginError `DeviceInUse` naming who uses the LUN, `MultipathFailed`, `SessionInUse`,
 *   `LogoutFailed`.
 */
export async function release(iqns: readonly string[], scsiId: string): Promise<void> {
  const paths = pathsOver(sessionsOf(iqns), scsiId);
  const map = mapOf(scsiId);
  refuseInUse(scsiId, [
    ...paths.map(({ device }) => nameOf(device)),
    ...(map === undefined ? [] : [map.device]),
  ]);
  forgetQueueing(scsiId);
  if (map !== undefined) await flushMap(map);
  await withTargets(iqns, async () => {
    dropClaim(scsiId);
    await settleLogins(iqns, settling);
    const open = readOpenDevices();
    const ending = sessionsOf(iqns).filter((session) => isFree(session, scsiId, open));
    const endingIds = new Set(ending.map(({ id }) => id));
    await flushIdleMaps(ending);
    // A session takes its disks with it; one that stays would keep them, and show the next LUN under them.
    await Promise.all(paths.filter(({ session }) => !endingIds.has(session.id)).map(deleteDisk));
    await logOut(ending);
    await forgetTargets(iqns);
  });
}

function refuseInUse(scsiId: string, devices: readonly string[]): void {
  const open = readOpenDevices();
  const uses = [...new Set(devices.flatMap((device) => usesOf(device, open)))];
  if (uses.length === 0) return;
  const shown = uses.slice(0, 5).join(', ');
  throw new PluginError(
    'DeviceInUse',
    `The LUN ${scsiId} is still in use on this host by ${shown}${uses.length > 5 ? ` and ${uses.length - 5} more` : ''}; end that use and repeat the call.`,
  );
}

/** Whether a session was made for SRs, and no SR and nobody else needs it. */
function isFree(session: Session, scsiId: string, open: OpenDevices): boolean {
  if (findRecord(session.iqn, session)?.ours !== true) return false;
  if (isClaimed(session.iqn, scsiId)) return false;
  return readDisks(session.id).every(({ name }) => usesOf(name, open).length === 0);
}

/** Removes the maps that multipathd made of other LUNs of sessions that end; nobody uses them. */
async function flushIdleMaps(sessions: readonly Session[]): Promise<void> {
  const maps = sessions.flatMap(({ id }) => readDisks(id)).flatMap(({ name }) => mapOver(name) ?? []);
  const distinct = new Map(maps.map((map) => [map.uuid, map]));
  for (const map of distinct.values()) await flushMap(map);
}

async function deleteDisk(path: Path): Promise<void> {
  if (!isUsable(path)) {
    // The kernel would wait for the target to flush the disk's cache.
    log('warning', `${path.device} stays, for its session is lost.`);
    return;
  }
  try {
    await writeToKernel(unitFile(nameOf(path.device), 'delete'), '1', deletionTimeout);
  } catch (error) {
    log('warning', `${path.device} could not be taken away: ${String(error)}`);
    return;
  }
  const isThere = (): boolean => readDisks(path.session.id).some(({ name }) => name === nameOf(path.device));
  for (let tries = 0; isThere() && tries < 50; tries += 1) await sleep(20);
}

function nameOf(device: string): string {
  return device.slice('/dev/'.length);
}
