/** open-iscsi on this host: its kernel module, its daemon, and the daemon's configuration. */
import { readFileSync, statSync } from 'node:fs';
import { writeFileAtomically } from '../../../src/atomic-file.ts';
import { log } from '../../../src/log.ts';
import { PluginError } from '../../../src/smapi/errors.ts';
import { attempt, run } from './host-command.ts';
import { withRecords } from './locks.ts';
import { hasTcpTransport } from './sysfs.ts';

const configuration = '/etc/iscsi/iscsid.conf';
const unit = 'iscsid.service';

/**
 * Makes this host ready to log in: the kernel's module, a daemon that refuses to log out of what is
 * mounted, and a daemon at all.
 *
 * @throws PluginError `InitiatorMissing` naming what to install or to start.
 */
export async function prepareInitiator(): Promise<void> {
  await loadTransport();
  if (!isListening()) await startDaemon();
  await withRecords(ensureSafeLogout);
}

async function loadTransport(): Promise<void> {
  if (hasTcpTransport()) return;
  const { said } = await attempt('modprobe', ['iscsi_tcp']);
  if (hasTcpTransport()) return;
  throw new PluginError(
    'InitiatorMissing',
    `This host's kernel has no iSCSI initiator (${said || 'modprobe iscsi_tcp changed nothing'}); install the kernel's module iscsi_tcp.`,
  );
}

/** Whether iscsid, or systemd in its place, listens for iscsiadm. */
function isListening(): boolean {
  return readFileSync('/proc/net/unix', 'utf8').includes('@ISCSIADM_ABSTRACT_NAMESPACE');
}

async function startDaemon(): Promise<void> {
  const { said } = await attempt('systemctl', ['start', unit]);
  if (isListening()) return;
  throw new PluginError(
    'InitiatorMissing',
    `iscsid does not run on this host and cannot be started (${said || `${unit} ended at once`}); install open-iscsi and see "systemctl status ${unit}".`,
  );
}

/**
 * Lets iscsid refuse to log out of a mounted disk, which it would do and take this host out of the cluster.
 * Where an admin has decided about that, it stays.
 */
async function ensureSafeLogout(): Promise<void> {
  let text: string;
  try {
    text = readFileSync(configuration, 'utf8');
  } catch (error) {
    log('warning', `${configuration} cannot be read (${(error as NodeJS.ErrnoException).code}).`);
    return;
  }
  const decided = /^[ \t]*iscsid\.safe_logout[ \t]*=[ \t]*(\S+)/m.exec(text)?.[1];
  if (decided !== undefined) {
    if (decided !== 'Yes') log('warning', `${configuration} allows to log out of mounted disks.`);
    return;
  }
  const added = '# gfs2-iscsi-sr: never log out of a mounted disk.\niscsid.safe_logout = Yes\n';
  const separator = text === '' || text.endsWith('\n') ? '' : '\n';
  writeFileAtomically(configuration, `${text}${separator}${added}`, statSync(configuration).mode & 0o777);
  // It reads that only when it starts; sessions are the kernel's and stay.
  await run('systemctl', ['try-restart', unit], { timeout: 30_000 });
}
