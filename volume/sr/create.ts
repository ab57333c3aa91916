import { PluginError } from '../../src/smapi/errors.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { isUuid } from '../../src/uuid.ts';
import { parseDeviceConfig, parseImageFormat } from '../device-config.ts';
import { requireVhdUtil } from '../images/vhd-util.ts';
import { loadProvider } from '../providers/provider.ts';
import { checkText, textLimits } from '../text.ts';

/**
 * SR.create: makes an empty SR, and answers its device-config with `sr_uuid`, for SR.attach is told no
 * uuid. Not attached yet. A repeat for the same SR succeeds and changes nothing.
 *
 * @throws PluginError `InvalidUuid`, `InvalidText`, `InvalidConfiguration`, `InvalidPath`, `NotEmpty`,
 * `SRExists`, `NotSupported`, `ToolMissing` for vhd where vhd-util is not installed; NumberedError `NoSpace`.
 */
export const create: Handler<'SR.create'> = async ({ uuid, configuration, name, description }) => {
  if (!isUuid(uuid)) {
    throw new PluginError('InvalidUuid', `The SR's uuid ${JSON.stringify(uuid.slice(0, 100))} is no UUID.`);
  }
  checkText(name, "the SR's name", textLimits.name);
  checkText(description, "the SR's description", textLimits.description);
  const provider = await loadProvider(parseDeviceConfig(configuration).provider);
  const imageFormat = parseImageFormat(configuration);
  if (imageFormat === 'vhd') requireVhdUtil();
  const identity = { uuid: uuid.toLowerCase(), name, description, imageFormat };
  return { ...(await provider.create(configuration, identity)), sr_uuid: identity.uuid };
};
