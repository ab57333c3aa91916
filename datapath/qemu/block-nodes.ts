/** How a chain of images is opened by QEMU: as nodes that name each other, so that nothing is found out by itself. */
import type { ChainImage } from './chain.ts';

/** The node that guests see, and its export. */
export const diskNode = 'disk';

/** How images are read and written. */
export interface InputOutput {
  /** By the page cache or not. */
  readonly direct: boolean;
  readonly aio: 'native' | 'threads';
}

/** Options of a node, as blockdev-add and blockdev-reopen take them (qapi/block-core.json of QEMU). */
export type BlockNode = Readonly<Record<string, unknown>>;

/**
 * The nodes of a chain, each after those that it refers to: of every image its file, and its format on that. The
 * leaf's is `disk`; of the n-th image after it, `parent-n`.
 *
 * Discards reach the images, and zeros that a guest writes take no room.
 */
export function blockNodes(
  images: readonly ChainImage[],
  readOnly: boolean,
  { direct, aio }: InputOutput,
): readonly BlockNode[] {
  return images
    .map((image, index) => {
      const leaf = index === 0;
      const common = {
        cache: { direct },
        discard: 'unmap',
        'read-only': !leaf || readOnly,
      };
      const file = { ...common, driver: 'file', 'node-name': fileNode(index), filename: image.path, aio };
      if (image.format === 'raw') {
        return [file, { ...common, driver: 'raw', 'node-name': nodeName(index), file: fileNode(index) }];
      }
      const backing = index + 1 < images.length ? nodeName(index + 1) : null;
      const writing = leaf && !readOnly ? { 'detect-zeroes': 'unmap' } : {};
      return [
        file,
        {
          ...common,
          ...writing,
          driver: 'qcow2',
          'node-name': nodeName(index),
          file: fileNode(index),
          backing,
        },
      ];
    })
    .toReversed()
    .flat();
}

function nodeName(index: number): string {
  return index === 0 ? diskNode : `parent-${index}`;
}

function fileNode(index: number): string {
  return `${nodeName(index)}-file`;
}
