/** Looks at the room of filesystems. Each waits for its storage alone: none of this process's other work does. */
import { statfs, writeFile } from 'node:fs/promises';
import { mountOf } from '../../src/mounts.ts';
import { listFolder, readText } from '../../src/proc.ts';
import type { Room } from './marks.ts';

/** Milliseconds between two times that this host and the others tell each other what they have written. */
const syncEvery = 250;

/**
 * A way to look at the filesystem of a folder, again and again.
 *
 * @returns a function that answers its room; undefined where the folder is not there, or its storage fails.
 */
export function lookerAt(folder: string): () => Promise<Room | undefined> {
  let synced = Number.NEGATIVE_INFINITY;
  return async () => {
    try {
      if (performance.now() - synced >= syncEvery) {
        await shareWhatWasWritten(folder);
        synced = performance.now();
      }
      const { bavail, blocks, bsize } = await statfs(folder);
      return { free: bavail * bsize, total: blocks * bsize };
    } catch {
      return undefined;
    }
  };
}

/**
 * Hosts of a gfs2 count what they allocate and free by themselves, and tell each other every 30 s (the mount's
 * statfs_quantum), or when they are asked to (fs/gfs2/sys.c of Linux, `statfs_sync`).
 */
async function shareWhatWasWritten(folder: string): Promise<void> {
  const mount = mountOf(folder);
  if (mount?.type !== 'gfs2') return;
  const table = listFolder('/sys/fs/gfs2').find(
    (name) => readText(`/sys/fs/gfs2/${name}/id`) === mount.device,
  );
  if (table !== undefined) await writeFile(`/sys/fs/gfs2/${table}/statfs_sync`, '1\n');
}
