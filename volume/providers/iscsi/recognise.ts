/** Whether what a LUN carries is the SR that is to be attached. */
import { PluginError } from '../../../src/smapi/errors.ts';
import { splitLockTable } from '../../layout/gfs2-superblock.ts';
import type { Label } from '../../layout/label.ts';
import { type Content, describeContent } from '../../probe/content.ts';

/** Who it must be. */
export interface ExpectedSr {
  readonly uuid: string;
  readonly scsiId: string;
  /** The cluster of this host. */
  readonly cluster: string;
}

/** An SR that may be mounted here. */
export interface RecognisedSr {
  readonly label: Label;
  /** Of its filesystem. */
  readonly lockTable: string;
}

/**
 * Recognises an SR by its label and superblock. One that SR.destroy has begun to take apart is one still, so
 * that SR.destroy can go on.
 *
 * @param where over which way the content was read, such as `/dev/sdb`.
 * @throws PluginError `SRMissing`, `SRIsACopy`, `WrongCluster`.
 */
export function recogniseSr(content: Content, expected: ExpectedSr, where: string): RecognisedSr {
  const { uuid, scsiId, cluster } = expected;
  const destroying = content.kind === 'unfinished' && content.label?.state === 'destroying';
  if ((content.kind !== 'sr' && !destroying) || content.label === undefined) {
    const next =
      content.kind === 'unfinished' ? 'run SR.create again, or choose another LUN' : 'choose its LUN';
    throw missing(expected, where, describeContent(content), next);
  }
  const { label, superblock } = content;
  if (label.uuid !== uuid) throw missing(expected, where, describeContent(content), 'choose its LUN');
  if (superblock?.uuid !== uuid) {
    throw missing(
      expected,
      where,
      `${describeContent(content)}, whose filesystem is gone`,
      'run SR.create again, or choose another LUN',
    );
  }
  if (label.scsiId !== scsiId) {
    throw new PluginError(
      'SRIsACopy',
      `The LUN ${scsiId} (${where}) is a copy of SR "${label.name}" (${uuid}), which lives on LUN ${label.scsiId}; attach that one: both at once would destroy each other.`,
    );
  }
  const table = splitLockTable(superblock.lockTable);
  if (superblock.lockProtocol !== 'lock_dlm' || table.cluster !== cluster) {
    const whose =
      superblock.lockProtocol === 'lock_dlm'
        ? `belongs to cluster "${table.cluster}"`
        : `has the lock protocol ${superblock.lockProtocol}, so it belongs to a single host`;
    throw new PluginError(
      'WrongCluster',
      `The SR "${label.name}" (${uuid}) ${whose}, and this host to cluster "${cluster}"; attach it on a host of its own cluster.`,
    );
  }
  return { label, lockTable: superblock.lockTable };
}

function missing({ uuid, scsiId }: ExpectedSr, where: string, carries: string, next: string): PluginError {
  return new PluginError(
    'SRMissing',
    `The SR ${uuid} is not on the LUN ${scsiId} (${where}), which carries ${carries}; ${next}.`,
  );
}
