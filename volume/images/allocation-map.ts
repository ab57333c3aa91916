import { qemuImg } from './qemu-img.ts';

/** A part of a disk. */
export interface Extent {
  /** Bytes from the disk's start. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /** Which image has it: 0 for the one asked about, 1 for its parent, and so on. */
  readonly depth: number;
  /** Whether any image has it; otherwise it reads as zeros. */
  readonly present: boolean;
  /** Whether it holds anything but zeros, as far as is known without reading it. */
  readonly data: boolean;
}

/** Which image of its chain has which part of an image's disk. The chain is checked, and nobody writes to it. */
export async function mapAllocation(file: string, format: string): Promise<readonly Extent[]> {
  const { stdout } = await qemuImg(['map', '--output=json', '-f', format, file], file);
  return JSON.parse(stdout) as readonly Extent[];
}
