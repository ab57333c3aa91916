import type { Handler, Health, SrStat } from '../../src/smapi/interface.ts';
import { type Catalog, readCatalog } from '../catalog/catalog.ts';
import { isLockTimeout, isNotWritable, isUnreachable, toStorageError } from '../catalog/errors.ts';
import { loadProvider, type Space } from '../providers/provider.ts';
import { type AttachedSr, getAttached } from './attached.ts';
import { describeSr } from './description.ts';
import { watchHealth } from './health-watch.ts';
import { describeLostDisks, describeRoom } from './running-disks.ts';

/** Milliseconds to wait for others: who asks how an SR is wants to hear of what they wait for. */
const patience = 20_000;

/**
 * SR.stat: describes an attached SR. One that cannot be reached or written is an answer with that health, under the
 * name that it had.
 *
 * @throws NamedError `Sr_not_attached`; PluginError `LockTimeout`.
 */
export const stat: Handler<'SR.stat'> = async ({ sr }) => {
  const attached = getAttached(sr);
  const provider = await loadProvider(attached.provider);
  const form = (named: Pick<AttachedSr, 'name' | 'description'>, space: Space, health: Health): SrStat =>
    describeSr({ ...named, uuid: attached.uuid }, provider.clustered, space, health);
  const storage = await provider.health?.(attached);
  if (storage !== undefined && !storage.usable) return form(attached, storage.space, storage.health);
  using _watch =
    storage === undefined ? undefined : watchHealth({ sr: attached, clustered: provider.clustered });
  try {
    const catalog = await readCatalog(attached, ({ identity, destroying }) => ({ identity, destroying }), {
      evenDestroying: true,
      patience,
    });
    const space = measure(attached, provider.space);
    const health = healthOf(catalog) ?? storage?.health ?? ['Healthy', ''];
    return form(
      catalog.identity,
      space,
      withDisks(health, [describeLostDisks(attached), describeRoom(attached, space)]),
    );
  } catch (error) {
    // Whoever has the catalog may wait for a storage that was well when it was asked.
    const now = isLockTimeout(error) ? await provider.health?.(attached) : undefined;
    if (now !== undefined && !now.usable) return form(attached, now.space, now.health);
    if (!isUnreachable(error) && !isNotWritable(error)) throw error;
    return form(attached, storage?.space ?? { free: 0n, total: 0n }, ['Unreachable', error.message]);
  }
};

function measure(sr: AttachedSr, space: (sr: AttachedSr) => Space): Space {
  try {
    return space(sr);
  } catch (error) {
    throw toStorageError(error, 'its size', sr.path);
  }
}

/** An SR without room is healthy to xapi, which would not list the volumes of another: so nobody could make room. */
function withDisks([kind, said]: Health, sentences: readonly (string | undefined)[]): Health {
  return [kind, [said, ...sentences].filter((each) => each !== undefined && each !== '').join(' ')];
}

function healthOf({ destroying }: Pick<Catalog, 'destroying'>): Health | undefined {
  return destroying
    ? ['Recovering', 'This SR is half destroyed; run SR.destroy again to finish that.']
    : undefined;
}
