/** SRs on a LUN of an iSCSI target: gfs2, for all hosts of a cluster. */
import { accessSync, constants } from 'node:fs';
import type { Catalog } from '../../catalog/catalog.ts';
import type { AttachedSr } from '../../sr/attached.ts';
import type { Provider, Space } from '../provider.ts';
import { attachSr, noteSpace } from './attach.ts';
import { attempt } from './connect.ts';
import { createSr } from './create.ts';
import { destroySr } from './destroy.ts';
import { detachSr } from './detach.ts';
import { storageHealth } from './health.ts';
import { copyToLabel } from './membership.ts';
import { findMount } from './mounts.ts';

/** SRs with `provider=iscsi`. */
export const iscsiProvider: Provider = {
  clustered: true,
  create: createSr,
  attach: attachSr,
  detach: detachSr,
  destroy: destroySr,
  space,
  health: storageHealth,
  renamed,
};

function space({ uuid, path }: AttachedSr): Space {
  accessSync(path, constants.W_OK);
  return noteSpace(uuid);
}

/** The label is a copy: where it cannot be written now, whoever writes it next copies the name too. */
async function renamed(sr: AttachedSr, catalog: Catalog): Promise<void> {
  const device = findMount(sr.path)?.source;
  if (device === undefined) return;
  await attempt(`the label of the SR ${sr.uuid} was not changed`, () => copyToLabel(catalog, device, {}));
}
