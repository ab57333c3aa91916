import { setTimeout as sleep } from 'node:timers/promises';
import { readInitiatorName } from '../initiator-name.ts';
import { isUnscopedLinkLocal } from '../portal.ts';
import { claimTarget, dropTarget } from './claims.ts';
import { prepareInitiator } from './daemon.ts';
import { deleteRecord, findRecord, nodeArguments, putRecord } from './database.ts';
import { attempt, type Outcome } from './host-command.ts';
import { withRecords, withTargets } from './locks.ts';
import {
  describeFailure,
  exitCodes,
  type LoginFailure,
  type Reach,
  reach,
  toLoginError,
} from './login-failure.ts';
import type { KernelTarget, Login, Session, TargetPortal } from './model.ts';
import { settleLogins } from './pending.ts';
import { checkCredentials, loginTimeout } from './record-text.ts';
import { distinctPortals, isUp, listSessions, portalName, sessionOver } from './sessions.ts';

/**
 * Milliseconds for all portals together. iscsid is at one login at a time for much of it, so that a busy host
 * takes far longer than iscsid's limit for each.
 */
const limit = 60_000;
/** Milliseconds until iscsid has given up on a portal that does not answer. */
const settling = (loginTimeout + 5) * 1000;
/**
 * A portal that has not let us in after so many milliseconds is looked at, for as long again at most: iscsid
 * tries a dead one until its limit.
 */
const suspicion = 5_000;
/** Milliseconds after which an iscsiadm that nobody waits for any more is ended. */
const abandonment = 300_000;

/**
 * Logs in to all portals of a target at once, where there is no session yet.
 *
 * A session that is there is used as it is, whoever made it.
 * Portals that fail do not fail the others; iscsid may still go on with one that is slow, so that its
 * session comes later.
 *
 * @param scsiId the LUN that the sessions are for: no release of another LUN ends them.
 * @throws PluginError `InvalidConfiguration` for credentials that cannot be used, `InitiatorMissing` where
 *   open-iscsi is not there, `TargetFailed`.
 * @throws NumberedError 68 where the target does not let this host in, 140 for an unknown host name, 141
 *   where no portal can be connected to.
 */
export async function logIn(target: KernelTarget, scsiId: string): Promise<Login> {
  checkCredentials(target);
  const initiatorName = readInitiatorName();
  await prepareInitiator();
  return withTargets([target.iqn], async () => {
    const claimed = claimTarget(scsiId, target);
    const before = listSessions(target.iqn);
    const failures = await logInEverywhere(target, initiatorName);
    // A session that comes after all must not be one that nobody knows of.
    if (!listSessions(target.iqn).some(isUp)) await settleLogins([target.iqn], settling);
    const sessions = listSessions(target.iqn);
    const made = sessions.filter(({ id }) => !before.some((session) => session.id === id));
    if (sessions.some(isUp)) return { sessions, made, failures };
    await forget(target, before);
    if (claimed) dropTarget(scsiId, target.iqn);
    throw toLoginError(failures);
  });
}

/** Tries all portals; answers for those that are not logged in to in the end. */
async function logInEverywhere(
  target: KernelTarget,
  initiatorName: string,
): Promise<readonly LoginFailure[]> {
  const portals = distinctPortals(target);
  const results = await Promise.all(
    portals.map(async (portal) => [portal, await logInOver(target, portal, initiatorName)] as const),
  );
  const sessions = listSessions(target.iqn);
  return results.flatMap(([portal, failure]) => {
    const session = sessionOver(sessions, portal);
    return failure === undefined || (session !== undefined && isUp(session)) ? [] : failure;
  });
}

/** Logs in over one portal, where there is no session yet. */
async function logInOver(
  target: KernelTarget,
  portal: TargetPortal,
  initiatorName: string,
): Promise<LoginFailure | undefined> {
  const { iqn } = target;
  const name = portalName(portal);
  if (isUnscopedLinkLocal({ host: portal.address, port: portal.port })) {
    return {
      portal: name,
      kind: 'unreachable',
      sentence: `Portal ${name} is link-local, and no host can tell on which network; write it with the interface, such as fe80::1%eth1, or leave it out.`,
    };
  }
  const present = (): Session | undefined => sessionOver(listSessions(iqn), portal);
  const watch = watchPortal(portal);
  let outcome: Outcome = { exitCode: exitCodes.sessionExists, said: '' };
  if (present() === undefined) {
    const record = await withRecords(() => putRecord(target, portal));
    const args = [...nodeArguments(iqn, record.portal), '-I', 'default', '--login'];
    outcome = await Promise.race([
      attempt('iscsiadm', args, { timeout: abandonment }),
      watch.failed,
      sleep(limit, { exitCode: undefined, said: `no end after ${limit / 1000} s` }, { ref: false }),
    ]);
  }
  // A session can be there and not be up: one that is lost, or that an earlier login goes on with.
  const comes = outcome.exitCode === 0 || outcome.exitCode === exitCodes.sessionExists;
  const end = performance.now() + limit;
  while (comes && watch.reached() === undefined && performance.now() < end) {
    const session = present();
    if (session !== undefined && isUp(session)) return undefined;
    await sleep(100);
  }
  if (present() !== undefined) {
    return {
      portal: name,
      kind: 'timeout',
      sentence: `The session with ${iqn} over portal ${name} is lost, and the target does not take it up again; check the target and the storage network.`,
    };
  }
  const reached = watch.reached() ?? (await reach(portal, suspicion));
  return describeFailure(target, portal, initiatorName, { ...outcome, reached });
}

/** A look at a portal that takes long to let us in. */
interface PortalWatch {
  /** Why the portal cannot be connected to; undefined as long as nothing says so. */
  readonly reached: () => Reach | undefined;
  /** Comes when it cannot be connected to; never where it can. */
  readonly failed: Promise<Outcome>;
}

function watchPortal(portal: TargetPortal): PortalWatch {
  let reached: Reach | undefined;
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  setTimeout(async () => {
    const result = await reach(portal, suspicion);
    if (result === 'open') return;
    reached = result;
    resolve({ exitCode: undefined, said: '' });
  }, suspicion).unref();
  return { reached: () => reached, failed: promise };
}

/** Removes records that were made for nothing. */
async function forget(target: KernelTarget, before: readonly Session[]): Promise<void> {
  await withRecords(async () => {
    for (const portal of distinctPortals(target)) {
      const record = findRecord(target.iqn, portal);
      if (record?.ours !== true || sessionOver(before, portal) !== undefined) continue;
      await deleteRecord(target.iqn, record);
    }
  });
}
