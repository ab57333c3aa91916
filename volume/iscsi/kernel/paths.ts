import { setTimeout as sleep } from 'node:timers/promises';
import { PluginError } from '../../../src/smapi/errors.ts';
import { claimedLun } from './claims.ts';
import { attempt, writeToKernel } from './host-command.ts';
import { askId, rememberedId } from './identity.ts';
import type { Path, Session } from './model.ts';
import { isUp, listSessions, portalName, sessionsOf } from './sessions.ts';
import { readDiskState, readDisks, scanFile } from './sysfs.ts';

/** Once there is one path, the others have so many milliseconds: not every portal need show the LUN. */
const grace = 6_000;
/** Milliseconds between one look for the LUN by a session and the next, and for one such look. */
const rescanPause = 3_000;
const rescanTimeout = 20_000;
/** How often a session looks where the LUN is expected before it looks everywhere. */
const expectedTries = 2;

/**
 * Paths to a LUN as the kernel remembers them, over all sessions; nothing is asked, so that nothing can
 * hang.
 */
export function listPaths(scsiId: string): readonly Path[] {
  return pathsOver(listSessions(), scsiId);
}

/** Paths to a LUN over some sessions, as the kernel remembers them. */
export function pathsOver(sessions: readonly Session[], scsiId: string): readonly Path[] {
  return sessions.flatMap((session) =>
    readDisks(session.id)
      .filter((disk) => rememberedId(disk) === scsiId)
      .map((disk) => ({
        device: `/dev/${disk.name}`,
        session,
        // The kernel's form of it: the number, unless the target uses flat addressing.
        lun: BigInt(disk.scsiAddress.split(':')[3] ?? '0'),
        state: readDiskState(disk),
      })),
  );
}

/** Whether I/O can go over a path. */
export function isUsable({ session, state }: Path): boolean {
  return isUp(session) && state === 'running';
}

/**
 * Waits for a LUN on the sessions with some targets; those that do not show it are told to look for it
 * again meanwhile, for a LUN may come late, and its disk may have been deleted by an earlier release.
 *
 * Each path that it answers was asked for its identity, by a command. A session that shows no such LUN is
 * not waited for long once another one does.
 *
 * @param iqns the targets that have the LUN.
 * @param timeout milliseconds.
 * @throws PluginError `LunMissing` when no path came, `DuplicateScsiId` when one session has two disks with
 *   this id.
 */
export async function waitForPaths(
  iqns: readonly string[],
  scsiId: string,
  timeout: number,
): Promise<readonly Path[]> {
  const start = performance.now();
  const answers = new Map<string, string | undefined>();
  const rescans = new Map<number, { count: number; next: number }>();
  let firstSeen: number | undefined;
  for (;;) {
    const sessions = sessionsOf(iqns).filter(isUp);
    const usable = pathsOver(sessions, scsiId).filter(isUsable);
    await Promise.all(
      usable.map(async ({ device }) => {
        if (answers.get(device) === scsiId) return;
        answers.set(device, await askId(device).catch(() => undefined));
      }),
    );
    const paths = usable.filter(({ device }) => answers.get(device) === scsiId);
    refuseDuplicates(paths, scsiId);
    const bare = sessions.filter(({ id }) => !paths.some(({ session }) => session.id === id));
    const now = performance.now();
    if (paths.length > 0) firstSeen ??= now;
    if (
      paths.length > 0 &&
      (bare.length === 0 || now >= Math.min((firstSeen ?? now) + grace, start + timeout))
    ) {
      return paths;
    }
    if (now >= start + timeout) throw missing(iqns, scsiId, sessions, usable, answers);
    await Promise.all(
      bare
        .map((session) => ({ session, ...(rescans.get(session.id) ?? { count: 0, next: start }) }))
        .filter(({ next }) => now >= next)
        .map(async ({ session, count }) => {
          await rescanSession(session, scsiId, count, Math.min(rescanTimeout, start + timeout - now));
          rescans.set(session.id, { count: count + 1, next: performance.now() + rescanPause });
        }),
    );
    await sleep(250);
  }
}

/**
 * Lets a session look for the LUN, in turns: where it is expected; at all LUNs of the target, which brings
 * disks of them all; and behind the disks that the session has already, which takes long where they are many.
 */
async function rescanSession(
  { id, iqn }: Session,
  scsiId: string,
  nth: number,
  limit: number,
): Promise<void> {
  // A disk of another LUN that does not answer must not keep us from this one.
  const timeout = Math.max(1_000, Math.ceil(limit));
  const expected = claimedLun(scsiId, iqn);
  const file = scanFile(id);
  const ways = [
    ...(expected === undefined ? [] : Array(expectedTries).fill(`- - ${kernelLun(expected)}`)),
    '- - -',
    undefined,
  ];
  const what = ways[nth % ways.length];
  if (what === undefined) {
    await attempt('iscsiadm', ['-m', 'session', '-r', String(id), '--rescan'], { timeout });
  } else if (file !== undefined) {
    await writeToKernel(file, what, timeout).catch(() => {});
  }
}

/** The kernel's number of a LUN, from its 8 bytes in REPORT LUNS (Linux, scsilun_to_int). */
export function kernelLun(raw: string): bigint {
  const bytes = Buffer.from(raw, 'hex');
  return [0, 2, 4, 6].reduce((lun, at) => lun | (BigInt(bytes.readUInt16BE(at)) << BigInt(at * 8)), 0n);
}

function refuseDuplicates(paths: readonly Path[], scsiId: string): void {
  const twice = paths.find((path) =>
    paths.some((other) => other !== path && other.session.id === path.session.id),
  );
  if (twice === undefined) return;
  const [first, second] = paths.filter(({ session }) => session.id === twice.session.id);
  throw new PluginError(
    'DuplicateScsiId',
    `The LUNs ${first?.lun} and ${second?.lun} of ${twice.session.iqn} both say that they are ${scsiId}, so that nothing tells which is the SR's; give each its own serial number on the target.`,
  );
}

function missing(
  iqns: readonly string[],
  scsiId: string,
  sessions: readonly Session[],
  usable: readonly Path[],
  answers: ReadonlyMap<string, string | undefined>,
): PluginError {
  const targets = iqns.join(' and ');
  if (sessions.length === 0) {
    return new PluginError(
      'LunMissing',
      `There is no session with ${targets} over which the LUN ${scsiId} could come.`,
    );
  }
  const stranger = usable[0];
  if (stranger !== undefined) {
    const said = answers.get(stranger.device);
    return new PluginError(
      'LunMissing',
      said === undefined
        ? `${stranger.device}, which was the LUN ${scsiId}, does not answer who it is; see the log of the target.`
        : `${stranger.device}, which was the LUN ${scsiId}, now is the LUN ${said}: the target gave the number ${stranger.lun} of ${stranger.session.iqn} to another one; map the SR's LUN again.`,
    );
  }
  const portals = sessions.map((session) => portalName(session)).join(' and ');
  return new PluginError(
    'LunMissing',
    `The LUN ${scsiId} does not show up at ${targets} over ${portals}; map it to this host on the target.`,
  );
}
