import { PluginError } from '../../../src/smapi/errors.ts';
import { deleteRecord, findRecord, listRecords } from './database.ts';
import { attempt } from './host-command.ts';
import { withRecords } from './locks.ts';
import { exitCodes } from './login-failure.ts';
import type { Session } from './model.ts';
import { listSessions, portalName } from './sessions.ts';

/** Milliseconds for one logout, whose target may not answer. */
const timeout = 30_000;

/**
 * Ends sessions, all at once, and removes the records that we made for them.
 *
 * @throws PluginError `SessionInUse` where a disk of a session is mounted, `LogoutFailed`.
 */
export async function logOut(sessions: readonly Session[]): Promise<void> {
  const results = await Promise.allSettled(sessions.map(endSession));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** Removes what is left of our records of targets with which there is no session any more. */
export async function forgetTargets(iqns: readonly string[]): Promise<void> {
  await withRecords(async () => {
    for (const iqn of iqns) {
      if (listSessions(iqn).length > 0) continue;
      for (const record of listRecords(iqn)) if (record.ours) await deleteRecord(iqn, record);
    }
  });
}

async function endSession(session: Session): Promise<void> {
  const { exitCode, said } = await attempt('iscsiadm', ['-m', 'session', '-r', String(session.id), '-u'], {
    timeout,
  });
  const gone = (): boolean => !listSessions().some(({ id }) => id === session.id);
  if (exitCode !== 0 && !gone()) throw logoutFailed(session, exitCode, said);
  await withRecords(async () => {
    const record = findRecord(session.iqn, session);
    if (record?.ours === true) await deleteRecord(session.iqn, record);
  });
}

function logoutFailed(session: Session, exitCode: number | undefined, said: string): PluginError {
  const which = `the session with ${session.iqn} over portal ${portalName(session)}`;
  if (exitCode === exitCodes.busy) {
    return new PluginError(
      'SessionInUse',
      `A disk of ${which} is mounted, so that it stays; unmount it and repeat the call.`,
    );
  }
  return new PluginError(
    'LogoutFailed',
    `This host cannot log out of ${which} (${said || `exit code ${exitCode}`}); see the log of iscsid.`,
  );
}
