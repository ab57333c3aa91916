/** Sets this host up for a cluster. */
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname } from 'node:path';
import { writeFileAtomically } from '../src/atomic-file.ts';
import { PluginError } from '../src/smapi/errors.ts';
import { unitStates } from '../src/systemd/unit-states.ts';
import { reloadUnits } from '../src/systemd/units.ts';
import type { ClusterConfiguration, ClusterNode } from './configuration.ts';
import { formCorosyncConf } from './corosync-conf.ts';
import { kernelLockspaces } from './dlm.ts';
import { formDlmConf } from './dlm-conf.ts';
import { hostFiles } from './host-files.ts';
import { unitFiles } from './unit-files.ts';

/** What a set-up did. */
export interface SetUp {
  /** This host. */
  readonly node: ClusterNode;
  /** The files that it wrote; none when all was so already. */
  readonly written: readonly string[];
  /** Whether the cluster runs here with what was before. */
  readonly restartNeeded: boolean;
  /** The hosts that no fencing device fences. */
  readonly unfenced: readonly string[];
}

interface HostFile {
  readonly path: string;
  readonly content: string | Uint8Array;
  readonly mode: number;
}

/**
 * Writes the configuration of corosync, dlm and systemd. The same twice changes nothing. Starts nothing.
 *
 * @throws PluginError `NotOfThisCluster` when no node has an address of this host, `ClusterInUse` when
 *   anything would change while a lockspace of dlm exists here.
 */
export async function setUpCluster(configuration: ClusterConfiguration): Promise<SetUp> {
  const node = thisNode(configuration.nodes);
  const files: readonly HostFile[] = [
    { path: hostFiles.corosyncKey, content: configuration.key, mode: 0o400 },
    { path: hostFiles.corosyncConf, content: formCorosyncConf(configuration), mode: 0o644 },
    // Agents' passwords are in it.
    { path: hostFiles.dlmConf, content: formDlmConf(configuration.fencing), mode: 0o600 },
  ];
  const changed = files.filter(differs);
  const inUse = kernelLockspaces();
  if (changed.length > 0 && inUse.length > 0) {
    throw new PluginError(
      'ClusterInUse',
      `This host uses the cluster for ${inUse.join(', ')}, so ${changed.map(({ path }) => path).join(', ')} cannot change; detach its SRs first.`,
    );
  }
  const units = unitFiles
    .map(({ path, content }) => ({ path: `${hostFiles.systemd}/${path}`, content, mode: 0o644 }))
    .filter(differs);
  for (const { path, content, mode } of [...changed, ...units]) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileAtomically(path, content, mode);
  }
  if (units.length > 0) await reloadUnits();
  return {
    node,
    written: [...changed, ...units].map(({ path }) => path),
    restartNeeded: changed.length > 0 && (await clusterRuns()),
    unfenced: configuration.nodes
      .filter(
        ({ id }) =>
          configuration.nodes.length > 1 &&
          !configuration.fencing.some(({ connections }) =>
            connections.some(({ node: other }) => other === id),
          ),
      )
      .map(({ name }) => name),
  };
}

/** Whether a daemon of the cluster runs here, with whatever it has read when it started. */
async function clusterRuns(): Promise<boolean> {
  const states = await unitStates(['corosync.service', 'dlm.service'], 10_000);
  return [...states.values()].some(({ active }) => active === 'active');
}

function thisNode(nodes: readonly ClusterNode[]): ClusterNode {
  const own = new Set(
    Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address)),
  );
  const mine = nodes.filter(({ addresses }) => addresses.some((address) => own.has(address)));
  const [node] = mine;
  if (node === undefined || mine.length > 1) {
    const what =
      node === undefined
        ? 'None of the nodes has an address of this host'
        : `${mine.map(({ name }) => name).join(' and ')} all have addresses of this host`;
    throw new PluginError('NotOfThisCluster', `${what}; correct the addresses, or set up another host.`);
  }
  const missing = node.addresses.find((address) => !own.has(address));
  if (missing !== undefined) {
    throw new PluginError(
      'NotOfThisCluster',
      `This host is ${node.name} by its other address, but has no ${missing}; correct it, or bring that network up.`,
    );
  }
  return node;
}

function differs({ path, content, mode }: HostFile): boolean {
  try {
    return (statSync(path).mode & 0o777) !== mode || !readFileSync(path).equals(Buffer.from(content));
  } catch {
    return true;
  }
}
