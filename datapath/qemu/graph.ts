/** The graph of nodes of a disk's process, as it is: calls that died may have changed it without a record. */
import { diskNode, fileNodeName } from './block-nodes.ts';
import { servedNode } from './export.ts';
import { type Qmp, QmpRefusal } from './qmp.ts';

interface Graph {
  readonly nodes: readonly { readonly id: number; readonly type: string; readonly name: string }[];
  readonly edges: readonly { readonly parent: number; readonly child: number; readonly name: string }[];
}

/** The node of a disk's own image, after it has got another one on top so many times. */
export function leafNodeName(generation: number): string {
  return generation === 0 ? diskNode : `${diskNode}-${generation}`;
}

/** How many times a disk had got another image on top when this was the node of its own; -1 for other nodes. */
export function generationOf(node: string): number {
  if (node === diskNode) return 0;
  const number = new RegExp(`^${diskNode}-([0-9]+)$`).exec(node)?.[1];
  return number === undefined ? -1 : Number(number);
}

/** The node whose content the disk has now: that which is served, or, while none is, the one that was so last. */
export async function topNode(qmp: Qmp): Promise<string> {
  return (
    (await servedNode(qmp)) ?? leafNodeName(Math.max(0, ...(await listImageNodes(qmp)).map(generationOf)))
  );
}

/** The nodes of a disk's images, from its own to the root. */
export async function listChainNodes(qmp: Qmp): Promise<readonly string[]> {
  // QEMU 7.2 tells nowhere else what builds on what.
  const { nodes, edges } = (await qmp.execute('x-debug-query-block-graph')) as Graph;
  const chain: string[] = [];
  for (let next: string | undefined = await topNode(qmp); next !== undefined; ) {
    const name: string = next;
    // While a job writes to an image, a filter of QEMU's own is above those that it merges.
    if (!name.startsWith('#')) chain.push(name);
    const parent = nodes.find((node) => node.type === 'block-driver' && node.name === name)?.id;
    const edge = edges.find((each) => each.parent === parent && each.name === 'backing');
    next = nodes.find(({ id }) => id === edge?.child)?.name;
  }
  return chain;
}

/** The nodes of images that are open, whether the disk has them or not. */
export async function listImageNodes(qmp: Qmp): Promise<readonly string[]> {
  const nodes = (await qmp.execute('query-named-block-nodes', { flat: true })) as readonly {
    readonly 'node-name': string;
    readonly drv: string;
  }[];
  return nodes.filter(({ drv }) => drv === 'qcow2' || drv === 'raw').map((node) => node['node-name']);
}

/** Closes an image that no other one builds on, as far as it is open. */
export async function closeImage(qmp: Qmp, node: string): Promise<void> {
  for (const name of [node, fileNodeName(node)]) {
    try {
      await qmp.execute('blockdev-del', { 'node-name': name });
    } catch (error) {
      if (!(error instanceof QmpRefusal)) throw error;
    }
  }
}
