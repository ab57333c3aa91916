/** Trees in which one image can be merged, by how that ends. */
import type { Tree } from './tree.ts';

const part = 65_536;

export const mergeCases: Readonly<Record<'replace' | 'move', (tree: Tree) => Promise<void>>> = {
  /** Of two qcow2 images on a raw one that a snapshot keeps. */
  async replace(tree) {
    const key = await tree.create();
    await tree.fill(key, 1, 0, 2 * part);
    await tree.snapshot(key);
    await tree.fill(key, 2, part, 2 * part);
    const passing = await tree.snapshot(key);
    await tree.fill(key, 3, 2 * part, 2 * part);
    await tree.destroy(passing);
  },
  /** Of an image on which two others build, into a raw one. */
  async move(tree) {
    const key = await tree.create();
    await tree.fill(key, 1, 0, 2 * part);
    const passing = await tree.snapshot(key);
    await tree.fill(key, 2, part, 2 * part);
    const kept = await tree.snapshot(key);
    const clone = await tree.clone(kept);
    await tree.fill(clone, 3, 4096, 4096);
    await tree.fill(key, 4, 8192, 4096);
    await tree.destroy(passing);
  },
};
