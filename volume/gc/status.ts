/** What garbage there is, and what is done about it on this host. */
import type { DatabaseSync } from 'node:sqlite';
import { readCatalog } from '../catalog/catalog.ts';
import { findAttached, listAttached } from '../sr/attached.ts';
import { findTask, isPending, listTasks } from '../task/record.ts';
import { listMergeable } from './candidates.ts';

/** The garbage of an SR. */
export interface Garbage {
  /** Images that can be merged, also those that are in use now. */
  readonly mergeable: number;
  /** Images of the longest chain. */
  readonly depth: number;
}

/** Milliseconds to wait for others on a catalog. */
const patience = 2_000;

/** Counts the garbage of an SR, by its catalog alone. */
export function measureGarbage(database: DatabaseSync): Garbage {
  const row = database
    .prepare(
      `WITH RECURSIVE chain (uuid, depth) AS (
        SELECT uuid, 1 FROM images WHERE parent IS NULL
        UNION ALL SELECT images.uuid, depth + 1 FROM images JOIN chain ON images.parent = chain.uuid
      ) SELECT ifnull(max(depth), 0) AS depth FROM chain`,
    )
    .get() as unknown as { readonly depth: number };
  return { mergeable: listMergeable(database).length, depth: row.depth };
}

/** Describes the garbage of all attached SRs, and how far this host's tasks are: a line each. */
export async function describeGarbage(): Promise<readonly string[]> {
  const srs = await Promise.all(
    listAttached().map(async (uuid) => {
      const sr = findAttached(uuid);
      if (sr === undefined) return `${uuid}: gone`;
      try {
        const { mergeable, depth } = await readCatalog(sr, ({ database }) => measureGarbage(database), {
          patience,
        });
        return `${uuid}: ${mergeable} images to merge, the longest chain has ${depth}`;
      } catch (error) {
        return `${uuid}: ${error instanceof Error ? error.name : 'failed'}`;
      }
    }),
  );
  const tasks = listTasks().flatMap((id) => {
    const found = findTask(id);
    if (found === undefined || !isPending(found.task)) return [];
    const [, progress] = found.task.state;
    return [`${found.sr}: task ${id} (${found.what}) is at ${Math.floor(Number(progress) * 100)} %`];
  });
  return [...srs, ...tasks];
}
