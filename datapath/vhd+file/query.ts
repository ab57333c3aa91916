import packageJson from '../../package.json' with { type: 'json' };
import type { Handler } from '../../src/smapi/interface.ts';
import { hasTapCtl } from '../tapdisk/tap-ctl.ts';

/**
 * Plugin.Query: what this datapath is, and whether it works here. It lists no feature, for xapi consults only ones that
 * it lacks.
 */
export const query: Handler<'Plugin.query'> = () => ({
  plugin: 'vhd+file',
  name: 'vhd image files',
  description: `Serves vhd disk images in files, with all that they build on, through a tapdisk for each disk${hasTapCtl() ? '' : '; not on this host, which has no tap-ctl'}`,
  vendor: 'The gfs2-iscsi-sr project',
  copyright: packageJson.license,
  version: packageJson.version,
  required_api_version: '5.0',
  features: [],
  configuration: {},
  required_cluster_stack: [],
});
