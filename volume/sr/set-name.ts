import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { inTransaction } from '../catalog/database.ts';
import { loadProvider } from '../providers/provider.ts';
import { checkText, textLimits } from '../text.ts';
import { getAttached } from './attached.ts';
import { recordAttached } from './record.ts';

/**
 * SR.set_name: changes an SR's name.
 *
 * @throws NamedError `Sr_not_attached`; PluginError `InvalidText`; as changeCatalog.
 */
export const setName: Handler<'SR.set_name'> = async ({ sr, new_name: name }) => {
  const attached = getAttached(sr);
  checkText(name, "the SR's name", textLimits.name);
  const provider = await loadProvider(attached.provider);
  await changeCatalog(attached, async (catalog) => {
    const { database } = catalog;
    const identity = { ...catalog.identity, name };
    inTransaction(database, () => {
      database.prepare('UPDATE sr SET name = ?').run(name);
      recordAttached({ ...attached, name: identity.name, description: identity.description });
    });
    await provider.renamed?.(attached, { ...catalog, identity });
  });
};
