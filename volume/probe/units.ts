/** Logical units: which of the LUNs that were seen are one disk, and which cannot be told apart. */
import type { Content } from './content.ts';
import type { Lun } from './inventory.ts';
import { isDisk } from './lun.ts';

/** A disk as the storage has it, seen as one LUN of one target, or through several targets. */
export interface Unit {
  /** At least one; the first is shown for it. */
  readonly luns: readonly [Lun, ...Lun[]];
  /** Why it cannot be told which disk this is, as a sentence without a full stop. */
  readonly identityProblem?: string;
}

/**
 * Groups LUNs to units by their SCSI id, in the order of target and LUN. What is no disk is left out.
 *
 * LUNs of several targets with one SCSI id are one unit, unless something in them differs; two LUNs of
 * one target with one SCSI id are two units that nobody can tell apart, and so are LUNs without a SCSI id
 * of their own.
 */
export function groupUnits(luns: readonly Lun[]): readonly Unit[] {
  const disks = luns
    .filter((lun) => lun.inquiry === undefined || isDisk(lun))
    .toSorted((a, b) => compare(a.target, b.target) || a.entry.lun - b.entry.lun);
  const byId = Map.groupBy(disks, (lun) => lun.identity?.id ?? `${lun.target} ${lun.entry.lun}`);
  return [...byId.values()].flatMap((group): readonly Unit[] => {
    const [first, ...rest] = group;
    if (first === undefined) return [];
    const problem = identityProblem(first) ?? twinProblem(group);
    if (problem === undefined) return [{ luns: [first, ...rest] }];
    return group.map((lun) => ({ luns: [lun], identityProblem: problem }));
  });
}

function identityProblem(lun: Lun): string | undefined {
  const { identity, strangers } = lun;
  if (strangers.length > 0) {
    return 'it is another LUN at each portal: its SCSI id differs from one portal to the other; give it one on the array';
  }
  // A LUN that did not even answer INQUIRY has its own problem.
  if (lun.inquiry === undefined) return undefined;
  if (identity === undefined) {
    return 'it has no SCSI id (neither VPD page 83h nor 80h has one), so hosts cannot know it again; give it a serial number on the array';
  }
  if (identity.basis === 'blank') {
    return `its SCSI id ${identity.id} comes from an empty serial number, so others may have the same; give it a serial number on the array`;
  }
  return undefined;
}

function twinProblem(group: readonly Lun[]): string | undefined {
  const [first] = group;
  const targets = new Set(group.map(({ target }) => target.toLowerCase()));
  const differs = new Set(group.map(likeness)).size > 1;
  if (first === undefined || (targets.size === group.length && !differs)) return undefined;
  const where = group.map(({ target, entry }) => `LUN ${entry.lun} of ${target}`).join(' and ');
  return `${where} have one SCSI id (${first.identity?.id}) but are not one disk, and hosts would take them for one and destroy both; give each its own serial number on the array`;
}

/** What must be alike in two views of one disk. */
function likeness({ inquiry, serial, disk }: Lun): string {
  const content = disk?.content;
  return JSON.stringify([
    inquiry?.vendor,
    inquiry?.product,
    serial,
    disk?.capacity.bytes.toString(),
    disk?.capacity.blockSize,
    content === undefined ? undefined : identifyContent(content),
  ]);
}

/** What tells two LUNs apart, without what an attached host may change between two looks. */
function identifyContent(content: Content): readonly unknown[] {
  switch (content.kind) {
    case 'sr':
      return [content.kind, content.label.uuid];
    case 'unfinished':
      return [content.kind, content.superblock?.uuid];
    default:
      return [content];
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
