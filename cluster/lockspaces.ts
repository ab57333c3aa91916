/** Lockspaces of dlm: who has one, and what one waits for. */
import { PluginError } from '../src/smapi/errors.ts';
import { askCorosync, type Corosync, processGroup } from './corosync.ts';
import { askDlm, type DlmStatus, kernelLockspaces, type Lockspace, listLockspaces } from './dlm.ts';
import { quorumSentence } from './requirements.ts';

/**
 * The numbers of the hosts that have a lockspace, or are joining it.
 *
 * The daemons of these hosts are in the process group `dlm:ls:NAME` (dlm_controld's cpg.c).
 *
 * @throws PluginError `ClusterNotRunning` when corosync does not run; or what `processGroup` throws.
 */
export async function lockspaceNodes(lockspace: string): Promise<readonly number[]> {
  const nodes = await processGroup(`dlm:ls:${lockspace}`);
  if (nodes !== undefined) return nodes;
  throw new PluginError(
    'ClusterNotRunning',
    'Corosync does not run on this host, so nobody says which hosts use the SR; run: gfs2-sr cluster start',
  );
}

/** All that says what a lockspace waits for; a part is undefined where its daemon does not answer. */
export interface LockspaceFacts {
  readonly corosync: Corosync | undefined;
  readonly dlm: DlmStatus | undefined;
  readonly lockspace: Lockspace | undefined;
  /** Whether the kernel has it. */
  readonly inKernel: boolean;
}

/** Collects what says what a lockspace waits for, within seconds; a daemon that hangs counts as none. */
export async function collectLockspaceFacts(name: string): Promise<LockspaceFacts> {
  const orNone = <T>(answer: Promise<T>): Promise<T | undefined> => answer.catch(() => undefined);
  const [corosync, dlm, lockspaces] = await Promise.all([
    orNone(askCorosync()),
    orNone(askDlm()),
    orNone(listLockspaces()),
  ]);
  return {
    corosync,
    dlm,
    lockspace: lockspaces?.find((each) => each.name === name),
    inKernel: kernelLockspaces().includes(name),
  };
}

/** What a lockspace waits for, as a sentence; undefined when it waits for nothing, or this host does not have it. */
export function waitSentence({ corosync, dlm, lockspace, inKernel }: LockspaceFacts): string | undefined {
  if (lockspace === undefined) {
    if (!inKernel) return undefined;
    return dlm === undefined
      ? 'dlm_controld of this host is gone or does not answer while an SR is mounted: the locks of the SR stand still until this host is reset.'
      : 'dlm_controld of this host no longer knows this SR: the locks of the SR stand still until this host is reset.';
  }
  const names = (ids: readonly number[]): string =>
    ids.map((id) => corosync?.members.find(({ nodeId }) => nodeId === id)?.name ?? `node ${id}`).join(', ');
  const toFence = [
    ...(dlm?.nodes.filter(({ needsFencing }) => needsFencing).map(({ nodeId }) => nodeId) ?? []),
    ...(dlm?.startupNodes ?? []),
  ];
  if (corosync !== undefined && !corosync.quorate && (lockspace.waits !== undefined || lockspace.stopped)) {
    return `The locks of the SR wait for quorum. ${quorumSentence(corosync)}`;
  }
  switch (lockspace.waits) {
    case undefined:
      return lockspace.stopped ? 'The locks of the SR stand still while its hosts change.' : undefined;
    case 'fencing':
      return `The locks of the SR wait until ${names(toFence) || 'a lost host'} is fenced; see that it is off, and why the fence agent fails, in journalctl -u dlm.`;
    case 'quorum':
      return 'The locks of the SR wait for quorum: this host does not see enough of the others.';
    default:
      return `The locks of the SR wait for ${lockspace.waits} of dlm_controld while its hosts change.`;
  }
}
