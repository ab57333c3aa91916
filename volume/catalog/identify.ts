import { log } from '../../src/log.ts';
import type { SrIdentity, SrPlace } from './catalog.ts';
import { isCatalogDamaged } from './errors.ts';

/**
 * Who an SR is, as `identify` finds it in its catalog; and by a backup where the catalog is damaged, so that such an SR
 * can be attached, and then be repaired.
 *
 * @throws what `identify` throws.
 */
export async function identifyDamaged(
  place: SrPlace,
  identify: () => Promise<SrIdentity>,
): Promise<SrIdentity> {
  try {
    return await identify();
  } catch (error) {
    if (!isCatalogDamaged(error)) throw error;
    const { identifyByBackup } = await import('./backup.ts');
    const identity = identifyByBackup(place);
    if (identity === undefined) throw error;
    log('error', (error as Error).message);
    return identity;
  }
}
