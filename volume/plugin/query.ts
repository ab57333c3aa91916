import packageJson from '../../package.json' with { type: 'json' };
import { hasCommand } from '../../src/find-command.ts';
import type { CallName, Handler } from '../../src/smapi/interface.ts';
import { volumePlugin } from '../calls.ts';
import { imageFormats } from '../catalog/schema.ts';
import { deviceConfigHelp } from '../device-config-help.ts';
import { readSettings } from './settings.ts';

/** The features that come with a call; xapi-storage-script adds most of them by the entry files that it sees. */
const featureOfCall: Readonly<Partial<Record<CallName, string>>> = {
  'SR.attach': 'SR_ATTACH',
  'SR.create': 'SR_CREATE',
  'SR.destroy': 'SR_DELETE',
  'SR.detach': 'SR_DETACH',
  'SR.ls': 'SR_SCAN',
  'SR.stat': 'SR_UPDATE',
  'SR.probe': 'SR_PROBE',
  'Volume.create': 'VDI_CREATE',
  'Volume.clone': 'VDI_CLONE',
  'Volume.snapshot': 'VDI_SNAPSHOT',
  'Volume.revert': 'VDI_REVERT',
  'Volume.resize': 'VDI_RESIZE',
  'Volume.destroy': 'VDI_DELETE',
  'Volume.stat': 'VDI_UPDATE',
  'Volume.compose': 'VDI_COMPOSE',
  'Volume.list_changed_blocks': 'VDI_CONFIG_CBT',
};

/**
 * Features beyond a call: the datapaths of all volumes run disks for reading only, images are sparse files, and SR.attach and the datapath work at boot without xapi, as HA's statefile needs it.
 */
const furtherFeatures = ['VDI_ACTIVATE_READONLY', 'VDI_ATTACH_OFFLINE', 'THIN_PROVISIONING'];

/**
 * `Plugin.query`: what this plugin is, and what it does as it is installed.
 *
 * @throws PluginError `InvalidSettings`.
 */
export const query: Handler<'Plugin.query'> = () => ({
  plugin: 'gfs2',
  name: 'gfs2 on iSCSI',
  description: 'Shared, thin-provisioned SR on a LUN of an iSCSI array, with gfs2 and corosync',
  vendor: 'The gfs2-iscsi-sr project',
  copyright: packageJson.license,
  version: packageJson.version,
  required_api_version: '5.0',
  features: [
    ...Object.keys(volumePlugin).flatMap((name) => featureOfCall[name as CallName] ?? []),
    ...furtherFeatures,
  ],
  configuration: deviceConfigHelp,
  required_cluster_stack: readSettings().requiredClusterStack,
  supported_image_formats: imageFormats.filter(
    (format) => format !== 'vhd' || (hasCommand('vhd-util') && hasCommand('tap-ctl')),
  ),
});
