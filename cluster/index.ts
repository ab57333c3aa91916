/** The cluster that a shared SR stands on: corosync, dlm and fencing of this host. */
import { PluginError } from '../src/smapi/errors.ts';

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
 * follows this cluster, fencing is configured for every other host and armed.
 *
 * @throws PluginError naming the one thing to fix.
 */
export async function requireCluster(): Promise<ClusterStatus> {
  throw new PluginError('NotSupported', 'This version cannot check the cluster yet.');
}

/**
 * The hosts, anywhere in the cluster, that have a dlm lockspace, which means for a gfs2's that they have
 * it mounted; asked without joining it.
 *
 * @param lockspace its name: what stands after the colon in a gfs2's lock table.
 * @throws PluginError when corosync does not run or does not answer.
 */
export async function lockspaceMembers(_lockspace: string): Promise<readonly ClusterMember[]> {
  throw new PluginError('NotSupported', 'This version cannot ask for the members of a lockspace yet.');
}

/**
 * What a lockspace of this host waits for, such as the fencing of a host, as a sentence; undefined when it
 * waits for nothing or this host does not have it. Touches no filesystem.
 *
 * @param lockspace its name: what stands after the colon in a gfs2's lock table.
 */
export async function lockspaceWait(_lockspace: string): Promise<string | undefined> {
  throw new PluginError('NotSupported', 'This version cannot ask what a lockspace waits for yet.');
}
