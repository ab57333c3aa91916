/**
 * What an image's file says of the volume whose it is: a hint for a repair that has no catalog to ask, and nothing
 * that is believed while there is one. Without extended attributes only the hint is lost.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { posix } from '../../src/posix/index.ts';

const attribute = 'user.gfs2-sr.volume';
/** Bytes of a name that fit beside the rest into what getXattr reads. */
const nameBytes = 200;

/** A volume, as an image's label has it. */
export interface LabelledVolume {
  readonly key: string;
  /** The beginning of its name at that time. */
  readonly name: string;
  readonly readWrite: boolean;
  readonly sharable: boolean;
}

/**
 * What a label says: `none` where the image was no volume's; `merging` where its child was, and what that holds may have
 * been written into it in part since.
 */
export type ImageLabel = LabelledVolume | 'none' | 'merging';

/** Labels an image. */
export function labelImage(file: string, label: ImageLabel): void {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    posix().setXattr(fd, attribute, typeof label === 'string' ? label : formatLabel(label));
  } finally {
    closeSync(fd);
  }
}

/** The label of an open image; undefined where it has none that is understood. */
export function readLabel(fd: number): ImageLabel | undefined {
  const text = posix().getXattr(fd, attribute);
  if (typeof text !== 'string') return undefined;
  if (text === 'none' || text === 'merging') return text;
  const [, kind, key = '', name = ''] = /^([wrs]) ([0-9a-f-]{36}) (.*)$/s.exec(text) ?? [];
  return kind === undefined ? undefined : { key, name, readWrite: kind !== 'r', sharable: kind === 's' };
}

function formatLabel({ key, name, readWrite, sharable }: LabelledVolume): string {
  let short = name;
  while (Buffer.byteLength(short) > nameBytes) short = [...short].slice(0, -1).join('');
  return `${sharable ? 's' : readWrite ? 'w' : 'r'} ${key} ${short}`;
}
