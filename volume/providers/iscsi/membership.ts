/** This host among those that have the SR attached: noted in the SR's catalog, and in short in its label. */
import { createHash } from 'node:crypto';
import { readFileSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';
import type { ClusterMember, ClusterStatus } from '../../../cluster/index.ts';
import { hostUuid } from '../../../src/host-uuid.ts';
import { PluginError } from '../../../src/smapi/errors.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { listHosts, recordHost, removeHost, type SrHost } from '../../catalog/hosts.ts';
import { readInitiatorName } from '../../iscsi/initiator-name.ts';
import type { Label } from '../../layout/label.ts';
import { changeLabel } from './device-label.ts';

/** This host, as it notes itself. */
export function describeThisHost({ nodeId, members }: ClusterStatus, lunSize: bigint): SrHost {
  const uuid = hostUuid();
  if (uuid === undefined) {
    throw new PluginError(
      'NoHostUuid',
      'This host has neither an INSTALLATION_UUID in /etc/xensource-inventory nor an /etc/machine-id; make one (systemd-machine-id-setup).',
    );
  }
  const name = members.find((member) => member.nodeId === nodeId)?.name ?? `node ${nodeId}`;
  return { uuid, nodeId, name, initiatorName: readInitiatorName().toLowerCase(), lunSize };
}

/**
 * Refuses a host that calls itself by the initiator name of another that has the SR: the array would end the
 * session of one for that of the other, for ever, and count both for one.
 *
 * @param others numbers in the cluster and digests, as a label has them.
 * @param members the hosts that have the SR mounted.
 * @throws PluginError `DuplicateInitiatorName`.
 */
export function refuseTwin(
  others: Readonly<Record<string, string>>,
  members: readonly ClusterMember[],
  self: Pick<SrHost, 'nodeId' | 'initiatorName'>,
): void {
  const digest = digestOf(self.initiatorName);
  const twin = members.find(({ nodeId }) => nodeId !== self.nodeId && others[nodeId] === digest);
  if (twin === undefined) return;
  throw new PluginError(
    'DuplicateInitiatorName',
    `This host has the same iSCSI initiator name (${self.initiatorName}) as ${twin.name}, which has the SR attached; give this host a name of its own in /etc/iscsi/initiatorname.iscsi, let it in on the array, and restart iscsid.`,
  );
}

/** Notes this host, under the exclusive lock of the catalog. */
export async function enter(catalog: Catalog, device: string, self: SrHost): Promise<void> {
  recordHost(catalog.database, self);
  await copyToLabel(catalog, device, {});
}

/** Notes that this host is gone, and what the SR's sizes are, under the exclusive lock of the catalog. */
export async function leave(
  catalog: Catalog,
  device: string,
  sizes: Partial<Pick<Label, 'totalSpace' | 'freeSpace'>>,
): Promise<void> {
  const uuid = hostUuid();
  if (uuid !== undefined) removeHost(catalog.database, uuid);
  await copyToLabel(catalog, device, sizes);
}

/** Copies what the catalog says of the SR and its hosts into the label, and other things with it. */
export async function copyToLabel(
  { database, identity: { name, description } }: Catalog,
  device: string,
  changes: Partial<Label>,
): Promise<void> {
  const hosts = digestsOf(listHosts(database));
  await changeLabel(device, (label) => {
    if (label === undefined) {
      throw new PluginError(
        'LabelMissing',
        `There is no label of the SR on ${device}; see what has overwritten it.`,
      );
    }
    return { ...label, name, description, hosts, ...changes };
  });
}

/** Hosts as a label has them. */
export function digestsOf(hosts: readonly SrHost[]): Readonly<Record<string, string>> {
  return Object.fromEntries(hosts.map(({ nodeId, initiatorName }) => [nodeId, digestOf(initiatorName)]));
}

/** 16 hexadecimal digits: a label has room for those of many hosts, and not for their names. */
function digestOf(initiatorName: string): string {
  return createHash('sha256').update(initiatorName.toLowerCase()).digest('hex').slice(0, 16);
}

/** Bytes of a block device as the kernel has it; nothing is asked. */
export function deviceSize(device: string): bigint {
  return (
    BigInt(readFileSync(`/sys/class/block/${basename(realpathSync(device))}/size`, 'utf8').trim()) * 512n
  );
}
