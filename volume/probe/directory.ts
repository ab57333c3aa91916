/** What there is in a directory, for `provider=path`. */
import { existsSync } from 'node:fs';
import type { ProbeResult } from '../../src/smapi/interface.ts';
import { identifySr } from '../catalog/catalog.ts';
import { extendDeviceConfig } from '../device-config.ts';
import { foreignNames } from '../layout/make.ts';
import { catalogFile } from '../layout/sr-folder.ts';
import { checkPlaceForSr, resolveFolder } from '../providers/folder.ts';
import { pathProvider } from '../providers/path.ts';

/**
 * The one row for a directory: the SR that is in it, or a place to make one.
 *
 * @throws PluginError `InvalidPath`, and what the catalog of an SR raises.
 */
export async function probeDirectory(
  configuration: Readonly<Record<string, string>>,
  path: string,
): Promise<readonly ProbeResult[]> {
  const folder = resolveFolder(path);
  const extended = extendDeviceConfig(configuration, { path: folder });
  if (!existsSync(catalogFile(folder))) {
    checkPlaceForSr(folder);
    const carries = foreignNames(folder).length > 0 ? 'other files' : 'nothing';
    return [{ configuration: extended, complete: true, extra_info: { carries } }];
  }
  const { uuid, name, description } = await identifySr(folder);
  const { free, total } = pathProvider.space({
    uuid,
    name,
    description,
    provider: 'path',
    path: folder,
    configuration,
  });
  return [
    {
      configuration: { ...extended, sr_uuid: uuid },
      complete: true,
      sr: {
        sr: uuid,
        uuid,
        name,
        description,
        free_space: free,
        total_space: total,
        datasources: [],
        clustered: pathProvider.clustered,
        health: ['Healthy', ''],
      },
      extra_info: { carries: `SR "${name}" (${uuid})` },
    },
  ];
}
