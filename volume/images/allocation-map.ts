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

/** Milliseconds to read an image's tables. */
export const readingLimit = 600_000;

/** Which image of its chain has which part of an image's disk. The chain is checked, and nobody writes to it. */
export async function mapAllocation(file: string, format: string): Promise<readonly Extent[]> {
  return await mapImage(['-f', format, file], file);
}

/**
 * The same of an image that is named as qemu-img's arguments say.
 *
 * @param file for messages.
 */
export async function mapImage(image: readonly string[], file: string): Promise<readonly Extent[]> {
  const extents: Extent[] = [];
  // A hundred bytes for each extent are more than can be kept as one text.
  let rest = '';
  const take = (line: string): void => {
    const object = line.replace(/^\s*\[?/, '').replace(/[\],\s]*$/, '');
    if (object === '') return;
    const { start, length, depth, present, data } = JSON.parse(object) as Extent;
    extents.push({ start, length, depth, present, data });
  };
  await qemuImg(['map', '--output=json', ...image], file, {
    timeout: readingLimit,
    keepOutput: false,
    onOutput(text) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) take(line);
    },
  });
  take(rest);
  return extents;
}
