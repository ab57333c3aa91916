import { closeSync, constants, fsyncSync, openSync } from 'node:fs';
import { waitsFor } from '../src/deadline.ts';
import { PluginError } from '../src/smapi/errors.ts';

/** Milliseconds for the storage to take what was written, which may be gigabytes from the page cache; and with `lossy`, after which it goes on without us. */
const limit = 60_000;
const lossyLimit = 10_000;

/**
 * Writes what was written to an image, or to a device on one, through to the storage.
 *
 * @param lossy for Datapath.detach, which must not hang with the storage: waits less, and in another process.
 * @throws PluginError `FlushFailed` when data was lost; errors of opening it.
 */
export async function flushFile(path: string, lossy: boolean): Promise<void> {
  waitsFor(`the storage to take what was written to ${path}`, limit);
  if (lossy) {
    await flushElsewhere(path);
    return;
  }
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    fsyncSync(fd);
  } catch (error) {
    throw flushFailed(path, String((error as NodeJS.ErrnoException).code ?? error), error);
  } finally {
    closeSync(fd);
  }
}

async function flushElsewhere(path: string): Promise<void> {
  const { CommandError, run } = await import('../src/commands.ts');
  try {
    await run('sync', ['--', path], { timeout: lossyLimit });
  } catch (error) {
    throw error instanceof CommandError ? flushFailed(path, error.message, error) : error;
  }
}

/** What is said when the storage did not take what was written to an image or device. */
export function flushFailed(path: string, why: string, cause: unknown): PluginError {
  return new PluginError(
    'FlushFailed',
    `The storage did not take everything that was written to ${path} (${why}); what was written last may be lost: see to its free space and its paths, then repeat the call.`,
    { cause },
  );
}
