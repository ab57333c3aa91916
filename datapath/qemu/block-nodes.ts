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
  io: InputOutput,
): readonly BlockNode[] {
  return images
    .map(({ path, format }, index) => {
      const name = index === 0 ? diskNode : `parent-${index}`;
      if (index === 0 && !readOnly) {
        return leafNodes(name, path, io, images.length > 1 ? 'parent-1' : null);
      }
      const common = { cache: { direct: io.direct }, discard: 'unmap', 'read-only': true };
      // Not even its file is written, but for a merge, which could not open it anew: its name may have changed by then.
      const file = fileNode(name, path, io, readOnly);
      if (format === 'raw')
        return [file, { ...common, driver: 'raw', 'node-name': name, file: file['node-name'] }];
      const backing = index + 1 < images.length ? `parent-${index + 1}` : null;
      return [file, { ...common, driver: 'qcow2', 'node-name': name, file: file['node-name'], backing }];
    })
    .toReversed()
    .flat();
}

/**
 * The nodes of an image that is written, in qcow2.
 *
 * @param backing the node of the image that it builds on; null for none, or for none yet.
 */
export function leafNodes(
  name: string,
  path: string,
  io: InputOutput,
  backing: string | null,
): readonly [file: BlockNode, image: BlockNode] {
  return [fileNode(name, path, io, false), leafNode(name, io, backing)];
}

/** The node itself: whoever gives it new options has to say all of them again. */
export function leafNode(name: string, { direct }: InputOutput, backing: string | null): BlockNode {
  return {
    driver: 'qcow2',
    'node-name': name,
    cache: { direct },
    discard: 'unmap',
    'detect-zeroes': 'unmap',
    'read-only': false,
    file: fileNodeName(name),
    backing,
  };
}

/** The name of the node of an image's file. */
export function fileNodeName(name: string): string {
  return `${name}-file`;
}

function fileNode(name: string, path: string, { direct, aio }: InputOutput, readOnly: boolean): BlockNode {
  return {
    driver: 'file',
    'node-name': fileNodeName(name),
    cache: { direct },
    discard: 'unmap',
    'read-only': readOnly,
    filename: path,
    aio,
  };
}
