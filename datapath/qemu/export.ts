/** The export by which a disk's process serves the disk. */
import { setTimeout as sleep } from 'node:timers/promises';
import { diskNode } from './block-nodes.ts';
import type { Qmp } from './qmp.ts';

/** Milliseconds between looks at an export that is about to end. */
const pause = 5;

/** An export, as query-block-exports tells of it (qapi/block-export.json of QEMU). */
interface Export {
  readonly id: string;
  readonly 'node-name': string;
}

/** How QEMU serves a node as the disk. */
export function diskExport(node: string, readOnly: boolean): Readonly<Record<string, unknown>> {
  return { type: 'nbd', id: diskNode, 'node-name': node, name: diskNode, writable: !readOnly };
}

/** The node that is served; undefined where none is. */
export async function servedNode(qmp: Qmp): Promise<string | undefined> {
  const exports = (await qmp.execute('query-block-exports')) as readonly Export[];
  return exports.find(({ id }) => id === diskNode)?.['node-name'];
}

/** Serves a disk, for reading and writing. */
export async function serveNode(qmp: Qmp, node: string): Promise<void> {
  await qmp.execute('block-export-add', diskExport(node, false));
}

/** Ends all connections, and serves the disk no more once all that was asked for is done. */
export async function endExport(qmp: Qmp): Promise<void> {
  await qmp.execute('block-export-del', { id: diskNode, mode: 'hard' });
  while ((await servedNode(qmp)) !== undefined) await sleep(pause);
}
