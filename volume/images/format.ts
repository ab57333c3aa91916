/** What differs between images by their format. A new format is a driver, and a name in the catalog's schema. */
import type { Backing } from '../../src/qcow2/header.ts';
import type { ImageFormat } from '../catalog/schema.ts';
import { qcow2Format } from './qcow2.ts';
import { rawFormat } from './raw.ts';
import { vhdFormat } from './vhd.ts';

/** The code for images of one format. Sizes are those of the disk, in bytes. */
export interface FormatDriver {
  /** What sizes are multiples of. */
  readonly granularity: bigint;
  /** The size of the biggest disk. */
  readonly maximum: bigint;
  /**
   * Makes an image that reads as zeros, or as its parent, durably except for its name. Leaves nothing when it
   * fails.
   */
  create(file: string, bytes: bigint, backing?: Backing): Promise<void> | void;
  /** Grows an image, durably; never makes one smaller. Whoever runs for it keeps `lock`, the locked image. */
  grow(file: string, bytes: bigint, lock: number | undefined): Promise<void> | void;
  /** Completes a growing that was killed, or takes it back, where there is anything to do. */
  settle?(file: string, lock: number | undefined): Promise<void>;
  /** The size of an image's disk. */
  size(file: string): bigint;
  /** The parent that an image names. */
  backing(file: string): Backing | undefined;
  /** Whether an image holds nothing itself, so that all it reads as is its parent's; false where unknown. */
  isEmpty(file: string): boolean;
}

const drivers: Readonly<Record<ImageFormat, FormatDriver>> = {
  raw: rawFormat,
  qcow2: qcow2Format,
  vhd: vhdFormat,
};

/** The driver of a format. */
export function formatDriver(format: ImageFormat): FormatDriver {
  return drivers[format];
}

/** The format of an image that builds on another: raw ones have no parent, and vhd ones none of another format. */
export function leafFormat(parent: ImageFormat): ImageFormat {
  return parent === 'vhd' ? 'vhd' : 'qcow2';
}
