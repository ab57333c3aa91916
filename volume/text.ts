import { PluginError } from '../src/smapi/errors.ts';

/** Bytes of UTF-8 that texts may have. */
export const textLimits = { name: 4096, description: 65536, keyName: 4096, keyValue: 262144 } as const;

/**
 * Checks a text that is to be stored and to come back unchanged.
 *
 * @param what how to name it to the caller.
 * @throws PluginError `InvalidText`.
 */
export function checkText(text: string, what: string, limit: number): void {
  const bytes = Buffer.byteLength(text);
  if (bytes > limit)
    throw invalid(`${what} has ${bytes} bytes, and at most ${limit} can be stored; shorten it`);
  if (text.includes('\0')) throw invalid(`${what} has a NUL character; leave it out`);
  if (!text.isWellFormed()) throw invalid(`${what} has half of a surrogate pair; send valid Unicode`);
}

function invalid(why: string): PluginError {
  return new PluginError('InvalidText', `${why[0]?.toUpperCase()}${why.slice(1)}.`);
}
