import type { DatabaseSync } from 'node:sqlite';
import { PluginError } from '../../src/smapi/errors.ts';
import { type Image, listChain } from '../catalog/images.ts';
import type { VolumeRow } from '../catalog/volumes.ts';
import { describeVolume } from '../images/in-use.ts';
import { listMergeable } from './candidates.ts';

/**
 * How many images a volume may have, one on the other. Each read of what none of the upper ones holds asks all of them,
 * and whoever runs the disk has them all open and locked.
 */
export const depthLimit = 30;

/**
 * Refuses another image on a chain that is as long as chains may be.
 *
 * @throws PluginError `ChainTooDeep`.
 */
export function requireShallow(database: DatabaseSync, base: Image, row: VolumeRow): void {
  const chain = listChain(database, base);
  if (chain.length < depthLimit) return;
  const uuids = new Set(chain.map(({ uuid }) => uuid));
  const mergeable = listMergeable(database).filter(({ parent }) => uuids.has(parent)).length;
  const subject = `The volume ${describeVolume(row)} is made of ${chain.length} images already, and ${depthLimit} is the limit`;
  throw new PluginError(
    'ChainTooDeep',
    mergeable === 0
      ? `${subject}; destroy some of its snapshots.`
      : `${subject}; garbage collection merges ${mergeable} of them: run gfs2-sr gc run on the host that runs its disk, and try again.`,
  );
}
