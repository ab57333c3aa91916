import { statSync } from 'node:fs';

/** The bytes that an image takes on the storage; undefined where its file is missing. */
export function allocatedSize(file: string): bigint | undefined {
  const found = statSync(file, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? undefined : found.blocks * 512n;
}
