import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { hostPaths } from '../../../src/host-paths.ts';
import { lock } from '../../../src/locks/flock.ts';

/** How long a call waits for another about the same LUN on this host, in milliseconds. */
const patience = 30_000;

/**
 * Lets only one call at a time create, attach, detach, destroy or grow an SR on a LUN on this host. Whoever
 * has the lock may take what others left for left by the dead.
 *
 * @throws PluginError `LockTimeout`.
 */
export async function withLunLock<T>(scsiId: string, body: () => Promise<T>): Promise<T> {
  const folder = `${hostPaths.run}/lun`;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // A SCSI id is an array's text.
  const name = createHash('sha256').update(scsiId).digest('hex').slice(0, 32);
  const fd = openSync(`${folder}/${name}.lock`, 'a', 0o600);
  try {
    await lock(fd, 'exclusive', patience, `the LUN ${scsiId}`);
    return await body();
  } finally {
    closeSync(fd);
  }
}
