import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { inTransaction } from '../catalog/database.ts';
import { loadProvider } from '../providers/provider.ts';
import { checkText, textLimits } from '../text.ts';
import { getAttached } from './attached.ts';
import { recordAttached } from './record.ts';

/**
 * SR.set_description: changes an SR's description.
 *
 * @throws NamedError `Sr_not_attached`; PluginError `InvalidText`; as changeCatalog.
 */
export const setDescription: Handler<'SR.set_description'> = async ({ sr, new_description: description }) => {
  const attached = getAttached(sr);
  checkText(description, "the SR's description", textLimits.description);
  const provider = await loadProvider(attached.provider);
  await changeCatalog(attached, async (catalog) => {
    const { database } = catalog;
    const identity = { ...catalog.identity, description };
    inTransaction(database, () => {
      database.prepare('UPDATE sr SET description = ?').run(description);
      recordAttached({ ...attached, name: identity.name, description: identity.description });
    });
    await provider.renamed?.(attached, { ...catalog, identity });
  });
};
