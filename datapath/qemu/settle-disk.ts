import { fstatSync, statSync } from 'node:fs';
import { openKeptLocks } from '../../src/locks/kept-locks.ts';
import { closeImage, generationOf, listChainNodes, listImageNodes, topNode } from './graph.ts';
import { type LiveDisk, shareImage } from './live-disk.ts';
import { forgetMerge } from './merge-job.ts';
import { putOverlay } from './overlay.ts';
import type { Qmp } from './qmp.ts';
import { serveAgain } from './serve-again.ts';

/**
 * Ends what calls that died have left: afterwards the disk is served, its own image is that of its path, its locks are those of its
 * images, and nothing else is open. A merge that is under way goes on.
 *
 * @throws as putOverlay.
 */
export async function settleDisk(disk: LiveDisk, qmp: Qmp): Promise<void> {
  await serveAgain(disk, qmp);
  const isMerging = (await forgetMerge(disk, qmp)) === 'merging';
  const chain = await listChainNodes(qmp);
  for (const node of await listImageNodes(qmp)) {
    if (!chain.includes(node)) await closeImage(qmp, node);
  }
  const generation = generationOf(await topNode(qmp));
  {
    using locks = openKeptLocks(disk.pid);
    const isSwitched = generation > locks.generation;
    const images = isSwitched && locks.next !== undefined ? [locks.next, ...locks.images] : locks.images;
    // The one that is merged into is its own.
    if (!isMerging) for (const fd of images.slice(1)) await shareImage(fd, disk.path);
    if (isSwitched || locks.next !== undefined) locks.replace({ generation, images });
    const [own] = images;
    if (own === undefined || statSync(disk.path).ino === fstatSync(own).ino) return;
  }
  await putOverlay(disk, qmp, { path: disk.path, commit: () => {}, undo: () => {} });
}
