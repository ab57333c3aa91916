/** Who has an image: told to others that cannot have it. Its lock is a flock(2) on the image itself. */
import { realpathSync } from 'node:fs';
import { hostUuid } from '../host-uuid.ts';
import { posix } from '../posix/index.ts';
import { openFiles, programName } from '../proc.ts';
import { localLockHolder } from './holder.ts';

/** The extended attribute that names the host which activated an image last: only for messages. */
const hostAttribute = 'user.gfs2-sr.host';

/** Who has an image: someone `here`, by name; the host of a `uuid`; or someone not known. */
export type ImageHolder =
  | { readonly where: 'here'; readonly name: string }
  | { readonly where: 'host'; readonly uuid: string }
  | { readonly where: 'unknown' };

/**
 * Who has locked an image that is open as `fd`.
 *
 * @param path of the image.
 */
export function findImageHolder(fd: number, path: string): ImageHolder {
  const pid = localLockHolder(fd);
  if (pid !== undefined) {
    // A loop device keeps its lock under the number of the process that made it, which may be another's now.
    const name = hasOpen(pid, path) ? `process ${pid} (${programName(pid) ?? '?'})` : 'a loop device';
    return { where: 'here', name };
  }
  const uuid = posix().getXattr(fd, hostAttribute);
  return typeof uuid === 'string' && uuid !== hostUuid() ? { where: 'host', uuid } : { where: 'unknown' };
}

/** Leaves this host's uuid on an image that it has locked; without extended attributes only a message is lost. */
export function recordImageHolder(fd: number): void {
  const host = hostUuid();
  if (host !== undefined && posix().getXattr(fd, hostAttribute) !== host) {
    posix().setXattr(fd, hostAttribute, host);
  }
}

function hasOpen(pid: number, path: string): boolean {
  try {
    return openFiles(pid).includes(realpathSync(path));
  } catch {
    return false;
  }
}
