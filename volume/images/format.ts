/** What differs between images by their format. A new format is a driver, and a name in the catalog's schema. */
import type { Backing } from '../../src/qcow2/header.ts';
import type { ImageFormat } from '../catalog/schema.ts';
import { qcow2Format } from './qcow2.ts';
import { rawFormat } from './raw.ts';

/** The code for images of one format. Sizes are those of the disk, in bytes. */
export interface FormatDriver {
  /** What sizes are multiples of. */
  readonly granularity: bigint;
  /**
   * Makes an image that reads as zeros, or as its parent, durably except for its name. Leaves nothing when it
   * fails.
   */
  create(file: string, bytes: bigint, backing?: Backing): Promise<void> | void;
  /** Grows an image, durably; never makes one smaller. Whoever runs for it keeps `lock`, the locked image. */
  grow(file: string, bytes: bigint, lock: number): Promise<void> | void;
  /** The size of an image's disk. */
  size(file: string): bigint;
  /** The parent that an image names. */
  backing(file: string): Backing | undefined;
  /** Whether an image holds nothing itself, so that all it reads as is its parent's; false where unknown. */
  isEmpty(file: string): boolean;
}

const drivers: Readonly<Record<ImageFormat, FormatDriver>> = { raw: rawFormat, qcow2: qcow2Format };

/** The driver of a format. */
export function formatDriver(format: ImageFormat): FormatDriver {
  return drivers[format];
}

/** The format of an image with a parent: raw ones have none. */
export const leafFormat: ImageFormat = 'qcow2';
