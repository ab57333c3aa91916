import { setTimeout as sleep } from 'node:timers/promises';
import { readInitiatorName } from '../initiator-name.ts';
import { isUnscopedLinkLocal } from '../portal.ts';
import { claimTarget, dropClaim } from './claims.ts';
import { prepareInitiator } from './daemon.ts';
import { deleteRecord, findRecord, nodeArguments, putRecord } from './database.ts';
import { attempt, type Outcome } from './host-command.ts';
import { withRecords, withTargets } from './locks.ts';
import { describeFailure, exitCodes, type LoginFailure, reach, toLoginError } from './login-failure.ts';
import type { KernelTarget, Login, Session, TargetPortal } from './model.ts';
import { checkCredentials, loginTimeout } from './record-text.ts';
import { distinctPortals, isUp, listSessions, portalName, sessionOver } from './sessions.ts';

/** Milliseconds for all portals together: iscsid's own limit, and what it takes to tell us. */
const limit = (loginTimeout + 3) * 1000;
/** Once a portal is logged in to, the others have until so many milliseconds from the start. */
const grace = 8_000;
/** A portal that has not answered after so many milliseconds is looked at, for iscsid tries a dead one again. */
const suspicion = 4_000;

const unfinished: Outcome = { exitCode: undefined, said: 'it took too long' };

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
    claimTarget(scsiId, target.iqn);
    const before = listSessions(target.iqn);
    const failures = await logInEverywhere(target, initiatorName);
    const sessions = listSessions(target.iqn);
    const made = sessions.filter(({ id }) => !before.some((session) => session.id === id));
    if (sessions.some(isUp)) return { sessions, made, failures };
    await forget(target, before);
    dropClaim(scsiId);
    throw toLoginError(failures);
  });
}

/** Tries all portals; answers for those that are not logged in to, once there is nothing to wait for. */
async function logInEverywhere(
  target: KernelTarget,
  initiatorName: string,
): Promise<readonly LoginFailure[]> {
  const start = performance.now();
  const stop = new AbortController();
  const portals = distinctPortals(target);
  const pending = portals.map(async (portal) => {
    const failure = await logInOver(target, portal, initiatorName, stop.signal);
    if (failure === undefined) {
      const left = Math.max(0, start + grace - performance.now());
      setTimeout(() => stop.abort(), left).unref();
    }
    return failure;
  });
  const failures = await Promise.all(pending);
  return failures.filter((failure) => failure !== undefined);
}

/**
 * Logs in over one portal.
 *
 * @param signal when others have waited long enough for this portal.
 */
async function logInOver(
  target: KernelTarget,
  portal: TargetPortal,
  initiatorName: string,
  signal: AbortSignal,
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
  let outcome: Outcome = { exitCode: exitCodes.sessionExists, said: '' };
  const known = present();
  if (known === undefined) {
    const record = await withRecords(() => putRecord(target, portal));
    const args = [...nodeArguments(iqn, record.portal), '-I', 'default', '--login'];
    const login = attempt('iscsiadm', args, { timeout: limit });
    outcome = await Promise.race([login, whenUnreachable(portal), whenAborted(signal)]);
  }
  // A session can be there and not be up: one that is lost, or that another login has begun.
  const end = performance.now() + limit;
  const comes = outcome.exitCode === 0 || outcome.exitCode === exitCodes.sessionExists;
  while (comes && !signal.aborted && performance.now() < end) {
    const session = present();
    if (session !== undefined && isUp(session)) return undefined;
    await sleep(100);
  }
  if (known !== undefined || comes) {
    return {
      portal: name,
      kind: 'timeout',
      sentence: `The session with ${iqn} over portal ${name} is lost, and the target does not take it up again; check the target and the storage network.`,
    };
  }
  const reached = await reach(portal, 1_000);
  return describeFailure(portal, iqn, initiatorName, { ...outcome, reached });
}

/** Ends once the portal has no answer and cannot be connected to; never while it can. */
async function whenUnreachable(portal: TargetPortal): Promise<Outcome> {
  await sleep(suspicion, undefined, { ref: false });
  if ((await reach(portal, suspicion)) === 'open') await Promise.withResolvers<never>().promise;
  return unfinished;
}

function whenAborted(signal: AbortSignal): Promise<Outcome> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(unfinished);
    signal.addEventListener('abort', () => resolve(unfinished), { once: true });
  });
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
