/** What a check finds, and what a repair does about it. */
import type { Image } from '../catalog/images.ts';

/** What a repair does to a file, beside the catalog's rows. */
export type FileMend =
  /** Grows an image to the size that the catalog says; with its parents, for they are opened too. */
  | { readonly kind: 'grow'; readonly image: Image; readonly chain: readonly Image[] }
  /** Moves a file out of the folder of images, to where a repair keeps such things. */
  | { readonly kind: 'aside'; readonly name: string }
  /** Frees clusters of an image that nothing refers to. */
  | { readonly kind: 'leaks'; readonly image: Pick<Image, 'uuid' | 'format'> };

/** One thing that is not as it must be. */
export interface Finding {
  /** What it is, as a sentence without its end. */
  readonly what: string;
  /** What a repair does, such as `sets its mode to 400`; undefined where it does nothing. */
  readonly repair?: string;
  /** What to do by hand where a repair does nothing. */
  readonly advice?: string;
  /** What is done for it to a file; where this is undefined it is done to rows, or by settling. */
  readonly mend?: FileMend;
}

/** A finding as a sentence, in which a repair would do or did something. */
export function describeFinding({ what, repair, advice }: Finding): string {
  return repair === undefined
    ? `${what}; ${advice ?? 'nothing is done about it'}.`
    : `${what}; repair ${repair}.`;
}

/** What a check or a repair tells. */
export interface Report {
  readonly findings: readonly Finding[];
  /** What was left alone, and why: no fault of the SR. */
  readonly notes: readonly string[];
}
