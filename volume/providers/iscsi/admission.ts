/** Whether an SR may be made on a LUN, by what the LUN carries. */
import { PluginError } from '../../../src/smapi/errors.ts';
import { splitLockTable } from '../../layout/gfs2-superblock.ts';
import { type Content, describeContent } from '../../probe/content.ts';

/** What is known when the decision is made. */
export interface Applicant {
  /** The SR that is to be made. */
  readonly uuid: string;
  readonly scsiId: string;
  /** The cluster of this host. */
  readonly cluster: string;
  readonly force: boolean;
  readonly content: Content;
  /** Why no SR can be made on the LUN, whatever it carries; without a full stop. */
  readonly obstacle?: string;
  /** Names of the hosts of this cluster that have the filesystem on the LUN mounted. */
  readonly mountedOn: readonly string[];
}

/**
 * - `there`: this very SR is on the LUN, finished; an earlier call made it.
 * - `make`: nothing on it is anybody's, or a person has said that it may go.
 * - `take-over`: a call that died left something unfinished, unless it is at work still.
 */
export type Admission = 'there' | 'make' | 'take-over';

/**
 * Decides.
 *
 * @throws PluginError `LunUnusable`; `LunInUse`, which no force helps against; `LunNotEmpty`.
 */
export function admit(applicant: Applicant): Admission {
  const { content, uuid, scsiId, cluster, force, obstacle, mountedOn } = applicant;
  const own = content.kind === 'sr' && content.label.scsiId === scsiId;
  if (own && content.label.uuid === uuid) return 'there';
  const carries = describeContent(content);
  if (obstacle !== undefined) {
    throw new PluginError('LunUnusable', `No SR can be made on the LUN ${scsiId}: ${obstacle}.`);
  }
  if (mountedOn.length > 0) {
    throw new PluginError(
      'LunInUse',
      `No SR can be made on the LUN ${scsiId}: it carries ${carries}, which is mounted on ${mountedOn.join(', ')}; detach it there first.`,
    );
  }
  if (content.kind === 'blank') return 'make';
  if (content.kind === 'unfinished') return 'take-over';
  if (force) return 'make';
  const what =
    content.kind === 'sr' && !own
      ? `a copy of ${carries}, which is on the LUN with SCSI id ${content.label.scsiId}`
      : carries;
  throw new PluginError(
    'LunNotEmpty',
    `The LUN ${scsiId} carries ${what}; choose another LUN, or, if all of that may be lost, put force=true into the device-config${precaution(content, cluster)}.`,
  );
}

/** A cluster that is not ours does not answer whether its hosts use the filesystem. */
function precaution(content: Content, cluster: string): string {
  const superblock = content.kind === 'blank' ? undefined : content.superblock;
  if (superblock === undefined || superblock.lockProtocol !== 'lock_dlm') return '';
  const theirs = splitLockTable(superblock.lockTable).cluster;
  return theirs === cluster
    ? ''
    : ` once you have made sure that no host of cluster "${theirs}" has it mounted`;
}
