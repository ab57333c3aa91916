import { PluginError } from '../../src/smapi/errors.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { isUuid } from '../../src/uuid.ts';
import { parseDeviceConfig } from '../device-config.ts';
import { loadProvider } from '../providers/provider.ts';
import { findAttached } from './attached.ts';
import { recordAttached } from './record.ts';

/**
 * SR.attach: attaches an SR to this host; its handle is its uuid. May be repeated. Needs nothing but the
 * host's kernel: it runs at boot, before xapi.
 *
 * @throws PluginError `InvalidConfiguration`, `InvalidPath`, `SRUnreachable`, `AttachedElsewhere`,
 * `NotSupported`.
 */
export const attach: Handler<'SR.attach'> = async ({ configuration }) => {
  const { provider } = parseDeviceConfig(configuration);
  const loaded = await loadProvider(provider);
  const given = Object.hasOwn(configuration, 'sr_uuid') ? configuration.sr_uuid : undefined;
  if (given === undefined || !isUuid(given)) {
    throw new PluginError(
      'InvalidConfiguration',
      "The device-config cannot be used: sr_uuid must be the SR's uuid, as SR.create answers it and SR.probe shows it.",
    );
  }
  const sr = await loaded.attach(configuration, given.toLowerCase());
  const before = findAttached(sr.uuid);
  if (before !== undefined && before.path !== sr.path) {
    throw new PluginError(
      'AttachedElsewhere',
      `The SR ${sr.uuid} is already attached from ${before.path}; detach it before it is attached from ${sr.path}.`,
    );
  }
  recordAttached(sr);
  const { backUpAttached } = await import('../catalog/backup-due.ts');
  await backUpAttached(sr);
  return sr.uuid;
};
