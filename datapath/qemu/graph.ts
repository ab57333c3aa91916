/** The graph of nodes of a disk's process, as it is: calls that died may have changed it without a record. */
import { diskNode } from './block-nodes.ts';
import type { Qmp } from './qmp.ts';

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

/** The node whose content the disk has now: that of its export. */
export async function topNode(qmp: Qmp): Promise<string> {
  const exports = (await qmp.execute('query-block-exports')) as readonly {
    readonly id: string;
    readonly 'node-name': string;
  }[];
  return exports.find(({ id }) => id === diskNode)?.['node-name'] ?? diskNode;
}

/** The node that one builds on; null where it builds on none. */
export async function backingNode(qmp: Qmp, node: string): Promise<string | null> {
  // QEMU 7.2 tells it nowhere else.
  const { nodes, edges } = (await qmp.execute('x-debug-query-block-graph')) as Graph;
  const parent = nodes.find(({ type, name }) => type === 'block-driver' && name === node)?.id;
  const edge = edges.find((each) => each.parent === parent && each.name === 'backing');
  return nodes.find(({ id }) => id === edge?.child)?.name ?? null;
}

/** All nodes by their names. */
export async function listNodes(qmp: Qmp): Promise<readonly string[]> {
  const nodes = (await qmp.execute('query-named-block-nodes', { flat: true })) as readonly {
    readonly 'node-name': string;
  }[];
  return nodes.map((node) => node['node-name']);
}
