/** The cluster of the hosts, through the program that an admin would use. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { place } from '../../lab/place.ts';
import { addressOf } from '../../lab/topology.ts';
import { eventually } from './eventually.ts';
import type { Host } from './host.ts';

/** Its name, the first half of every lock table. */
export const clusterName = 'lab';

/** What `gfs2-sr cluster status` says of a member. */
interface Status {
  readonly name?: string;
  readonly quorate?: boolean;
  readonly dlm?: string;
  readonly members?: readonly { readonly name: string; readonly online: boolean }[];
}

/**
 * Has hosts in one quorate cluster with power fencing through the lab. A host that runs it already is left as
 * it is.
 *
 * @throws Error when it is not quorate with all of them in time.
 */
export async function haveCluster(hosts: readonly Host[]): Promise<void> {
  const ready = await Promise.all(hosts.map((host) => isComplete(host, hosts)));
  if (!ready.includes(false)) return;
  await Promise.all(
    hosts.map(async (host) => {
      await setUpCluster(host, hosts);
      await startCluster(host);
    }),
  );
  await completeCluster(hosts);
}

/** Sets a host up for the cluster of all hosts, with power fencing through the lab unless told. */
export async function setUpCluster(
  host: Host,
  hosts: readonly Host[],
  { fencing = true }: { readonly fencing?: boolean } = {},
): Promise<void> {
  const { fencing: devices, ...rest } = clusterConfiguration(hosts);
  const input = JSON.stringify({ ...rest, fencing: fencing ? devices : [] });
  await host.exec(['gfs2-sr', 'cluster', 'set-up'], { input, timeout: 120_000 });
}

/** Starts the cluster on a host. */
export async function startCluster(host: Host): Promise<void> {
  await host.exec(['gfs2-sr', 'cluster', 'start'], { timeout: 180_000 });
}

/** Stops the cluster on a host, which must have no SR attached. */
export async function stopCluster(host: Host): Promise<void> {
  await host.exec(['gfs2-sr', 'cluster', 'stop'], { timeout: 180_000 });
}

/** Waits until all hosts see each other in the cluster. */
export async function completeCluster(hosts: readonly Host[], within = 60): Promise<void> {
  await eventually('all hosts in the cluster', { within }, async () => {
    for (const host of hosts)
      if (!(await isComplete(host, hosts))) throw new Error(`${host.name} does not see all as members`);
  });
}

/** What the command says on a host; empty where there is no cluster. */
export async function clusterStatus(host: Host): Promise<Status> {
  const { stdout, exitCode } = await host.exec(['gfs2-sr', 'cluster', 'status', '--json'], { expect: 'any' });
  return exitCode === 0 ? (JSON.parse(stdout) as Status) : {};
}

async function isComplete(host: Host, hosts: readonly Host[]): Promise<boolean> {
  const { name, quorate, dlm, members = [] } = await clusterStatus(host);
  const online = members.filter((member) => member.online).map((member) => member.name);
  return (
    name === clusterName &&
    quorate === true &&
    dlm === 'running' &&
    hosts.every((each) => online.includes(each.name))
  );
}

function clusterConfiguration(hosts: readonly Host[]) {
  return {
    name: clusterName,
    // Emulated processors are late now and then; ten seconds are what a host gets before it counts as lost.
    token: 10_000,
    key: clusterKey(),
    nodes: hosts.map((host, index) => ({
      id: index + 1,
      name: host.name,
      addresses: [addressOf(host.name, 'lab-cluster')],
    })),
    fencing: [
      {
        name: 'lab',
        agent: '/usr/sbin/fence_lab',
        connections: hosts.map((host, index) => ({ node: index + 1, options: { port: host.name } })),
      },
    ],
  };
}

function clusterKey(): string {
  if (!existsSync(place.clusterKey))
    writeFileSync(place.clusterKey, randomBytes(256).toString('base64'), { mode: 0o600 });
  return readFileSync(place.clusterKey, 'utf8');
}
