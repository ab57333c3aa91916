/** Where SRs are mounted. */
import { hostPaths } from '../../../src/host-paths.ts';
import { listMounts, type Mount } from '../../../src/mounts.ts';

/** Where an SR is mounted, on any host. */
export function mountPath(uuid: string): string {
  return `${hostPaths.mounts}/${uuid}`;
}

/** What is mounted at a path: the topmost. */
export function findMount(path: string): Mount | undefined {
  return listMounts().findLast((mount) => mount.path === path);
}
