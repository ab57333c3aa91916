import packageJson from '../../package.json' with { type: 'json' };
import type { Handler } from '../../src/smapi/interface.ts';

/** Plugin.Query: what this datapath is. It lists no feature, for xapi consults only ones that it lacks. */
export const query: Handler<'Plugin.query'> = () => ({
  plugin: 'raw+block',
  name: 'Block devices',
  description: 'Serves block devices of this host, such as LUNs, as they are',
  vendor: 'The gfs2-iscsi-sr project',
  copyright: packageJson.license,
  version: packageJson.version,
  required_api_version: '5.0',
  features: [],
  configuration: {},
  required_cluster_stack: [],
});
