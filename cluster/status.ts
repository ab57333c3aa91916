/** How the cluster is, as this host sees it. */
import { existsSync } from 'node:fs';
import { askCorosync, type CorosyncMember } from './corosync.ts';
import { askDlm, kernelClusterName, kernelLockspaces, listLockspaces } from './dlm.ts';
import { readFencing } from './fencing.ts';
import { clusterFilesystems } from './filesystems.ts';
import { hostFiles } from './host-files.ts';
import { collectLockspaceFacts, waitSentence } from './lockspaces.ts';
import { checkRequirements } from './requirements.ts';

/** A lockspace of this host. */
export interface LockspaceState {
  readonly name: string;
  /** The numbers of the hosts in it. */
  readonly members: readonly number[];
  /** What it waits for, as a sentence. */
  readonly waitsFor?: string;
}

/** The cluster as this host sees it, for people and for machines. */
export interface ClusterState {
  readonly setUp: boolean;
  readonly corosync: 'running' | 'stopped' | 'silent';
  readonly dlm: 'running' | 'stopped' | 'silent';
  /** The parts below are there when corosync answers. */
  readonly name?: string;
  readonly nodeId?: number;
  readonly quorate?: boolean;
  readonly members?: readonly CorosyncMember[];
  readonly lockspaces: readonly LockspaceState[];
  /** Mount points of clustered gfs2 filesystems. */
  readonly mounts: readonly string[];
  /** Why no SR can be attached here, as a sentence. */
  readonly problem?: string;
}

/** Collects how the cluster is, within seconds, also when daemons hang. */
export async function clusterState(): Promise<ClusterState> {
  const [corosync, dlm, fencing, lockspaces] = await Promise.allSettled([
    askCorosync(),
    askDlm(),
    readFencing(),
    listLockspaces(),
  ]);
  const found = corosync.status === 'fulfilled' ? corosync.value : undefined;
  const problem = problemOf(() => {
    if (corosync.status === 'rejected') throw corosync.reason;
    if (dlm.status === 'rejected') throw dlm.reason;
    if (fencing.status === 'rejected') throw fencing.reason;
    checkRequirements({
      corosync: corosync.value,
      dlm: dlm.value,
      fencing: fencing.value,
      kernelCluster: kernelClusterName(),
      lockspaces: kernelLockspaces(),
    });
  });
  const known = lockspaces.status === 'fulfilled' ? (lockspaces.value ?? []) : [];
  return {
    setUp: existsSync(hostFiles.corosyncKey),
    corosync: stateOf(corosync),
    dlm: stateOf(dlm),
    ...(found === undefined
      ? {}
      : { name: found.clusterName, nodeId: found.nodeId, quorate: found.quorate, members: found.members }),
    lockspaces: await Promise.all(
      known.map(async ({ name, members }) => {
        const waitsFor = waitSentence(await collectLockspaceFacts(name));
        return { name, members, ...(waitsFor === undefined ? {} : { waitsFor }) };
      }),
    ),
    mounts: clusterFilesystems().flatMap(({ mountPoints }) => mountPoints),
    ...(problem === undefined ? {} : { problem }),
  };
}

function problemOf(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function stateOf(answer: PromiseSettledResult<unknown>): 'running' | 'stopped' | 'silent' {
  if (answer.status === 'rejected') return 'silent';
  return answer.value === undefined ? 'stopped' : 'running';
}
