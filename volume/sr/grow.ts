/** `sr grow` of the command line; the interface has no such call. */
import { PluginError } from '../../src/smapi/errors.ts';
import type { Growth } from '../providers/iscsi/grow.ts';
import { getAttached } from './attached.ts';

/**
 * Makes an attached SR as large as its LUN has become on the array; on every host that has it attached, in
 * any order, and once more where it was refused.
 *
 * @param uuid of the SR.
 * @throws NamedError `Sr_not_attached`; PluginError `NotSupported`, `SizesDisagree`, `HostsDisagree`,
 * `SRUnavailable`, `GrowFailed`; as changeCatalog.
 */
export async function growAttachedSr(uuid: string): Promise<Growth> {
  const attached = getAttached(uuid);
  if (attached.provider !== 'iscsi') {
    throw new PluginError(
      'NotSupported',
      `The SR ${uuid} is in ${attached.path}; it grows by itself with the filesystem of that directory.`,
    );
  }
  const { growSr } = await import('../providers/iscsi/grow.ts');
  return await growSr(attached);
}
