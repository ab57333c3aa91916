/** What a LUN carries, told from a few blocks of it. */
import {
  decodeSuperblock,
  type Gfs2Superblock,
  splitLockTable,
  superblockLength,
  superblockOffset,
  unfinishedFilesystem,
} from '../layout/gfs2-superblock.ts';
import { decodeLabel, type Label, type LabelState, labelLength, labelOffset } from '../layout/label.ts';

/** The bytes that are looked at, as [offset, length]: whole blocks of 512 and of 4096 bytes. */
export const regions = {
  /** Partition tables and most formats say who they are here. */
  start: [0, 8192],
  /** The label and the superblock behind it. */
  label: [labelOffset, superblockOffset + superblockLength - labelOffset],
} as const;

/** What a LUN carries. */
export type Content =
  /** Zeros, as far as was looked. */
  | { readonly kind: 'blank' }
  /** A label of ours, and the filesystem that it belongs to. Whether this is its own LUN is another question. */
  | { readonly kind: 'sr'; readonly label: Label; readonly superblock: Gfs2Superblock }
  /**
   * What a call left that died in the midst of SR.create or SR.destroy, or is still at work: no SR, and
   * nobody's data. Without a label where it died just when mkfs.gfs2 had ended.
   */
  | { readonly kind: 'unfinished'; readonly label?: Label; readonly superblock?: Gfs2Superblock }
  /** Something else, in words that go behind "carries"; with its superblock where it is a gfs2. */
  | { readonly kind: 'other'; readonly what: string; readonly superblock?: Gfs2Superblock };

/**
 * Says what a LUN carries.
 *
 * @param start the bytes of `regions.start`.
 * @param labelRegion the bytes of `regions.label`.
 */
export function recogniseContent(start: Uint8Array, labelRegion: Uint8Array): Content {
  const state = decodeLabel(labelRegion.subarray(0, labelLength));
  const superblock = decodeSuperblock(labelRegion.subarray(labelLength));
  const found = superblock === undefined ? {} : { superblock };
  if (state.kind === 'label' && state.label.state !== undefined) {
    return { kind: 'unfinished', label: state.label, ...found };
  }
  if (state.kind === 'none' && isUnfinished(superblock)) return { kind: 'unfinished', ...found };
  if (state.kind === 'label' && superblock?.uuid === state.label.uuid.toLowerCase()) {
    return { kind: 'sr', label: state.label, superblock };
  }
  const filesystem = superblock === undefined ? undefined : describeGfs2(superblock);
  const label = describeLabel(state);
  if (label !== undefined) {
    return {
      kind: 'other',
      what: filesystem === undefined ? label : `${label}, and ${filesystem}`,
      ...found,
    };
  }
  const what = filesystem ?? recogniseFormat(start, labelRegion);
  if (what !== undefined) return { kind: 'other', what, ...found };
  return isZero(start) && isZero(labelRegion)
    ? { kind: 'blank' }
    : { kind: 'other', what: 'data of an unknown kind' };
}

function isUnfinished(superblock: Gfs2Superblock | undefined): boolean {
  return (
    superblock?.lockProtocol === 'lock_dlm' &&
    splitLockTable(superblock.lockTable).filesystem === unfinishedFilesystem
  );
}

/** What a LUN carries, in words that go behind "carries"; whether it is its own LUN is not looked at. */
export function describeContent(content: Content): string {
  switch (content.kind) {
    case 'blank':
      return 'nothing';
    case 'other':
      return content.what;
    case 'sr':
      return `SR "${content.label.name}" (${content.label.uuid})`;
    case 'unfinished': {
      const call = content.label?.state === 'destroying' ? 'SR.destroy' : 'SR.create';
      return content.label === undefined
        ? `an unfinished ${call}`
        : `an unfinished ${call} of SR "${content.label.name}" (${content.label.uuid})`;
    }
  }
}

function describeLabel(state: LabelState): string | undefined {
  switch (state.kind) {
    case 'none':
      return undefined;
    case 'label':
      return `the label of SR "${state.label.name}" (${state.label.uuid}) without its filesystem`;
    case 'newer':
      return `an SR of a newer version of this plugin (label format ${state.version})`;
    case 'damaged':
      return 'a damaged label of an SR';
  }
}

function describeGfs2({ lockProtocol, lockTable, uuid }: Gfs2Superblock): string {
  const whose = lockProtocol === 'lock_dlm' ? `of cluster table "${lockTable}"` : `with ${lockProtocol}`;
  return `a gfs2 filesystem ${whose} (${uuid})`;
}

/** Formats that say who they are at one place; offsets are from the start of the LUN. */
const formats: readonly (readonly [what: string, offset: number, magic: string])[] = [
  ['an XFS filesystem', 0, 'XFSB'],
  ['an encrypted volume (LUKS)', 0, 'LUKS\xba\xbe'],
  ['an NTFS filesystem', 3, 'NTFS    '],
  ['an ext2, ext3 or ext4 filesystem', 1080, '\x53\xef'],
  ['a swap area', 4086, 'SWAPSPACE2'],
  ['a member of an MD RAID', 4096, '\xfc\x4e\x2b\xa9'],
  ['a member of an MD RAID', 0, '\xfc\x4e\x2b\xa9'],
  ['a btrfs filesystem', 65600, '_BHRfS_M'],
];

function recogniseFormat(start: Uint8Array, labelRegion: Uint8Array): string | undefined {
  const at = (offset: number, length: number): string => {
    const region = offset < regions.label[0] ? start : labelRegion;
    const from = offset < regions.label[0] ? offset : offset - regions.label[0];
    return Buffer.from(region.subarray(from, from + length)).toString('latin1');
  };
  if ([0, 512, 1024, 1536].some((sector) => at(sector, 8) === 'LABELONE' && at(sector + 24, 4) === 'LVM2')) {
    const group = /VG_XenStorage-([0-9a-f-]{36})/.exec(at(0, start.length))?.[1];
    return group === undefined ? 'an LVM2 physical volume' : `an LVM SR of Xen (lvmoiscsi, ${group})`;
  }
  const format = formats.find(([, offset, magic]) => at(offset, magic.length) === magic);
  if (format !== undefined) return format[0];
  if (at(512, 8) === 'EFI PART' || at(4096, 8) === 'EFI PART') return 'a GPT partition table';
  if (at(510, 2) !== '\x55\xaa') return undefined;
  return [0, 1, 2, 3].some((entry) => at(446 + 16 * entry + 4, 1) !== '\0')
    ? 'an MBR partition table'
    : 'a boot sector';
}

const zeros = Buffer.alloc(Math.max(...Object.values(regions).map(([, length]) => length)));

function isZero(bytes: Uint8Array): boolean {
  return zeros.compare(bytes, 0, bytes.length, 0, bytes.length) === 0;
}
