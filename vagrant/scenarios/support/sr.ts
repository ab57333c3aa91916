/** SRs of the lab's target, made and used through the plugins' calls. */
import {
  type ChapSecrets,
  type IscsiTarget,
  type LunName,
  portals,
  scsiId,
  type TargetName,
  targets,
} from '../../lab/target.ts';
import type { Host } from './host.ts';
import type { Volume } from './smapi.ts';

type Configuration = Readonly<Record<string, string>>;

/** An SR that was made. */
export interface Sr {
  readonly uuid: string;
  /** For SR.attach, as SR.create answered it. */
  readonly configuration: Configuration;
}

/** The device-config of a target, with all its portals unless told; for SR.probe. */
export function targetConfig(target: TargetName, addresses?: readonly string[]): Configuration {
  const ips = addresses ?? portals[target].map(({ address }) => address);
  return { provider: 'iscsi', ips: ips.join(','), iqns: targets[target] };
}

/** The keys of a device-config for the target with CHAP. */
export function chapConfig({ user, password, mutualUser, mutualPassword }: ChapSecrets): Configuration {
  return {
    chapuser: user,
    chappassword: password,
    incoming_chapuser: mutualUser,
    incoming_chappassword: mutualPassword,
  };
}

/** The device-config of a LUN of the target without CHAP. */
export async function lunConfig(target: IscsiTarget, lun: LunName): Promise<Configuration> {
  return { ...targetConfig(lun.target), ScsiId: scsiId(await target.lun(lun)) };
}

/** Formats of the images of an SR. */
export type ImageFormat = 'raw' | 'qcow2';

/** Has an SR made by one host, on an emptied LUN. */
export async function createSr(
  host: Host,
  target: IscsiTarget,
  lun: LunName,
  name: string,
  format: ImageFormat = 'raw',
): Promise<Sr> {
  await target.erase(lun);
  const uuid = crypto.randomUUID();
  const configuration = await host.call('SR.create', {
    uuid,
    configuration: { ...(await lunConfig(target, lun)), 'image-format': format },
    name,
    description: `made by ${host.name}`,
  });
  return { uuid, configuration };
}

/** Attaches an SR on hosts, all at once. */
export async function attachSr(hosts: readonly Host[], { configuration }: Sr): Promise<void> {
  await Promise.all(hosts.map((host) => host.call('SR.attach', { configuration })));
}

/** Detaches an SR from hosts, one after the other; harmless where it is not attached. */
export async function detachSr(hosts: readonly Host[], { uuid }: Sr): Promise<void> {
  for (const host of hosts) await host.call('SR.detach', { sr: uuid });
}

/** A disk that runs on a host. */
export interface ActiveDisk {
  /** A block device of that host. */
  readonly device: string;
  /** What a guest's disk is made of, as Datapath.attach said. */
  readonly xenDisk?: Configuration | undefined;
  deactivate(): Promise<void>;
}

/** Runs a volume's disk on a host, as xapi does for a machine of its own. */
export async function activate(host: Host, volume: Volume, domain = 'u0_lab'): Promise<ActiveDisk> {
  const [uri] = volume.uri;
  if (uri === undefined) throw new Error(`The volume ${volume.key} has no uri.`);
  const scheme = uri.slice(0, uri.indexOf(':'));
  const disk = { uri, domain };
  await host.call('Datapath.open', { uri, persistent: true }, { scheme });
  const { implementations } = await host.call('Datapath.attach', disk, { scheme });
  await host.call('Datapath.activate', disk, { scheme });
  const device = implementations.find(([tag]) => tag === 'BlockDevice')?.[1].path;
  if (device === undefined)
    throw new Error(`${scheme} gave no block device: ${JSON.stringify(implementations)}`);
  return {
    device,
    xenDisk: implementations.find(([tag]) => tag === 'XenDisk')?.[1],
    async deactivate() {
      await host.call('Datapath.deactivate', disk, { scheme });
      await host.call('Datapath.detach', disk, { scheme });
      await host.call('Datapath.close', { uri }, { scheme });
    },
  };
}
