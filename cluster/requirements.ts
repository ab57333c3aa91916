/** What must hold before a gfs2 is made or mounted on this host. */
import { PluginError } from '../src/smapi/errors.ts';
import { askCorosync, type Corosync } from './corosync.ts';
import { askDlm, type DlmStatus, kernelClusterName, kernelLockspaces } from './dlm.ts';
import { type Fencing, readFencing } from './fencing.ts';

/** All that the requirements look at; a part is undefined where its daemon does not run. */
export interface ClusterFacts {
  readonly corosync: Corosync | undefined;
  readonly dlm: DlmStatus | undefined;
  /** The cluster that the kernel's dlm is in. */
  readonly kernelCluster: string | undefined;
  /** The lockspaces of the kernel's dlm. */
  readonly lockspaces: readonly string[];
  readonly fencing: Fencing;
}

/** Collects the facts, all at once and each within seconds. */
export async function collectFacts(): Promise<ClusterFacts> {
  const [corosync, dlm, fencing] = await Promise.all([askCorosync(), askDlm(), readFencing()]);
  return { corosync, dlm, fencing, kernelCluster: kernelClusterName(), lockspaces: kernelLockspaces() };
}

/**
 * Checks the facts, from the ground up.
 *
 * @returns the corosync of a host that may make or mount a gfs2.
 * @throws PluginError naming the first thing to fix.
 */
export function checkRequirements(facts: ClusterFacts): Corosync {
  const { corosync, dlm, kernelCluster, lockspaces, fencing } = facts;
  if (dlm === undefined && lockspaces.length > 0) throw leftoverLockspaces(lockspaces);
  if (corosync === undefined) {
    throw new PluginError(
      'ClusterNotRunning',
      'Corosync does not run on this host; run: gfs2-sr cluster start',
    );
  }
  if (!corosync.quorate) throw new PluginError('ClusterNotQuorate', quorumSentence(corosync));
  if (dlm === undefined) {
    throw new PluginError(
      'DlmNotRunning',
      'dlm_controld does not run on this host; run: gfs2-sr cluster start',
    );
  }
  if (kernelCluster !== corosync.clusterName || dlm.nodeId !== corosync.nodeId) {
    throw new PluginError(
      'DlmOfAnotherCluster',
      `dlm on this host is node ${dlm.nodeId} of cluster ${kernelCluster ?? '(none)'}, and corosync node ${corosync.nodeId} of cluster ${corosync.clusterName}; run gfs2-sr cluster stop and start on this host.`,
    );
  }
  checkFencing(corosync, fencing);
  return corosync;
}

/** Lockspaces whose dlm_controld is gone: they never work again, and a new one would have this host fenced. */
export function leftoverLockspaces(names: readonly string[]): PluginError {
  return new PluginError(
    'LeftoverLockspace',
    `The lockspace ${names.join(', ')} is left over from a dlm_controld that is gone; reset this host, for nothing else removes it.`,
  );
}

/** What keeps this host from having quorum, in words. */
export function quorumSentence({ clusterName, members, waitsForAll, nodeId }: Corosync): string {
  const missing = members.filter(({ online }) => !online).map(({ name }) => name);
  const me = members.find((member) => member.nodeId === nodeId)?.name ?? 'this host';
  const need = waitsForAll
    ? 'since it started it has not seen every host yet; start the cluster on each host, or see why they do not hear each other'
    : 'start the cluster on more hosts, or see why they do not hear each other';
  return `Cluster ${clusterName} has no quorum on ${me}, which does not see ${missing.join(', ') || 'enough hosts'}: ${need}.`;
}

function checkFencing({ members, nodeId }: Corosync, fencing: Fencing): void {
  const others = members.filter((member) => member.nodeId !== nodeId);
  if (others.length === 0) return;
  if (!fencing.enabled) {
    throw new PluginError(
      'FencingDisabled',
      'dlm_controld runs with enable_fencing=0 on this host, so that a lost host would block the SR for ever; remove that from /etc/dlm/dlm.conf and /etc/default/dlm, and run gfs2-sr cluster stop and start.',
    );
  }
  const agentsOf = (id: number): readonly string[] =>
    fencing.configured.everyHost === undefined
      ? (fencing.configured.agents.get(id) ?? [])
      : [fencing.configured.everyHost];
  const unfenced = others.filter((member) => agentsOf(member.nodeId).length === 0);
  if (unfenced.length > 0) {
    throw new PluginError(
      'FencingNotConfigured',
      `No fencing device is configured for ${unfenced.map(({ name }) => name).join(', ')}; give one to gfs2-sr cluster set-up on every host.`,
    );
  }
  const missing = others
    .flatMap((member) => agentsOf(member.nodeId))
    .find((agent) => fencing.missingAgents.has(agent));
  if (missing !== undefined) {
    throw new PluginError(
      'FenceAgentMissing',
      `The fence agent ${missing} is not on this host, or may not be executed; install it.`,
    );
  }
  if (fencing.changedSince) {
    throw new PluginError(
      'FencingNotLoaded',
      'The fencing devices in /etc/dlm/dlm.conf were changed after dlm_controld had started; run gfs2-sr cluster stop and start on this host.',
    );
  }
}
