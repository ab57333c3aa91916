/** The cluster that a shared SR stands on: corosync, dlm and fencing of this host. */
import { askCorosync, type Corosync } from './corosync.ts';
import { dlmDaemon, isGoingOn } from './dlm.ts';
import { collectLockspaceFacts, lockspaceNodes, waitSentence } from './lockspaces.ts';
import { checkRequirements, collectFacts } from './requirements.ts';

/** A host of the cluster. */
export interface ClusterMember {
  /** Its number in corosync. */
  readonly nodeId: number;
  readonly name: string;
  /** Whether corosync counts it as a member now. */
  readonly online: boolean;
}

/** The cluster as this host sees it. */
export interface ClusterStatus {
  /** The cluster's name: what stands before the colon in a gfs2's lock table. */
  readonly name: string;
  /** This host's number in corosync. */
  readonly nodeId: number;
  readonly quorate: boolean;
  /** Every configured host, by its number, this one too. */
  readonly members: readonly ClusterMember[];
}

/**
 * Checks that a gfs2 may be made or mounted here: corosync runs and is quorate, dlm_controld runs and
 * follows this cluster, fencing is configured for every other host and armed. Answers within seconds, also
 * when a daemon hangs.
 *
 * @throws PluginError naming the one thing to fix: `ClusterNotRunning`, `ClusterNotQuorate`,
 *   `DlmNotRunning`, `DlmOfAnotherCluster`, `FencingDisabled`, `FencingNotConfigured`, `FenceAgentMissing`,
 *   `FencingNotLoaded`, `LeftoverLockspace`, `DaemonSilent` for a daemon that does not answer, or `CommandFailed`
 *   for a tool that is not installed.
 */
export async function requireCluster(): Promise<ClusterStatus> {
  const corosync = checkRequirements(await collectFacts());
  return {
    name: corosync.clusterName,
    nodeId: corosync.nodeId,
    quorate: corosync.quorate,
    members: membersOf(corosync),
  };
}

/**
 * The hosts, anywhere in the cluster, that have a dlm lockspace or are joining it, which means for a
 * gfs2's that they have it mounted; asked without joining it.
 *
 * @param lockspace its name: what stands after the colon in a gfs2's lock table.
 * @throws PluginError `ClusterNotRunning`, or `DaemonSilent` when corosync does not answer.
 */
export async function lockspaceMembers(lockspace: string): Promise<readonly ClusterMember[]> {
  const [nodes, corosync] = await Promise.all([lockspaceNodes(lockspace), askCorosync()]);
  const members = corosync === undefined ? [] : membersOf(corosync);
  return nodes.map(
    (id) => members.find(({ nodeId }) => nodeId === id) ?? { nodeId: id, name: `node ${id}`, online: true },
  );
}

/**
 * What a lockspace of this host waits for, such as the fencing of a host, as a sentence; undefined when it
 * waits for nothing or this host does not have it. Touches no filesystem, and answers within seconds.
 *
 * @param lockspace its name: what stands after the colon in a gfs2's lock table.
 */
export async function lockspaceWait(lockspace: string): Promise<string | undefined> {
  // As a rule: asking daemons takes more of a busy host's time than all else that a call does.
  if (isGoingOn(lockspace) && dlmDaemon() !== undefined) return undefined;
  return waitSentence(await collectLockspaceFacts(lockspace));
}

function membersOf({ members }: Corosync): readonly ClusterMember[] {
  return members.map(({ nodeId, name, online }) => ({ nodeId, name, online }));
}
