import type { Health, SrStat } from '../../src/smapi/interface.ts';
import type { Space } from '../providers/provider.ts';
import type { AttachedSr } from './attached.ts';

/** What SR.stat answers of an SR. */
export function describeSr(
  { uuid, name, description }: Pick<AttachedSr, 'uuid' | 'name' | 'description'>,
  clustered: boolean,
  space: Space,
  health: Health,
): SrStat {
  return {
    sr: uuid,
    uuid,
    name,
    description,
    free_space: space.free,
    total_space: space.total,
    datasources: [],
    clustered,
    health,
  };
}
