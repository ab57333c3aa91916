import { PluginError } from '../../../src/smapi/errors.ts';
import { type IscsiConfig, parseDeviceConfig } from '../../device-config.ts';

/** A device-config that names one LUN. */
export interface LunConfig extends IscsiConfig {
  readonly scsiId: string;
}

/**
 * Reads a device-config that must say which LUN is meant.
 *
 * @throws PluginError `InvalidConfiguration`.
 */
export function parseLunConfig(configuration: Readonly<Record<string, string>>): LunConfig {
  const config = parseDeviceConfig(configuration);
  if (config.provider !== 'iscsi') throw new TypeError('not a device-config of provider=iscsi');
  const { iqns, scsiId } = config;
  const missing = [...(iqns.length === 0 ? ['iqns'] : []), ...(scsiId === undefined ? ['ScsiId'] : [])];
  if (scsiId === undefined || missing.length > 0) {
    throw new PluginError(
      'InvalidConfiguration',
      `The device-config cannot be used: ${missing.join(' and ')} must say which LUN is meant, as SR.probe answers.`,
    );
  }
  return { ...config, scsiId };
}
