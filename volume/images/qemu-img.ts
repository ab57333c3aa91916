import type { CommandOptions, CommandResult } from '../../src/commands.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { noSpace } from '../catalog/errors.ts';

/**
 * Runs qemu-img. It must not be left to find out a format or a parent: who calls states the one, and has checked
 * the other; see {@link checkChain}.
 *
 * @param file the image that it is about, for messages.
 * @throws PluginError `ToolMissing`, `VolumeTooBig`, `ImageToolFailed`; NumberedError `NoSpace`.
 */
export async function qemuImg(
  args: readonly string[],
  file: string,
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { CommandError, run } = await import('../../src/commands.ts');
  try {
    return await run('qemu-img', args, options);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const { message, stderr } = error;
    if (message.includes('is not installed')) {
      throw new PluginError(
        'ToolMissing',
        'qemu-img is not installed on this host; install it (on Debian the package qemu-utils).',
      );
    }
    if (/No space left on device|Disk quota exceeded/.test(stderr))
      throw noSpace(`the image ${file}`, file, error);
    if (stderr.includes('File too large')) {
      throw new PluginError(
        'VolumeTooBig',
        `The filesystem has no files as big as the image ${file} needs.`,
        {
          cause: error,
        },
      );
    }
    throw new PluginError('ImageToolFailed', `The image ${file} could not be worked on: ${message}`, {
      cause: error,
    });
  }
}

/** Reads how far a qemu-img is that was told to say so (`-p`), and reports it, from 0 to 1. */
export function reportPercent(report: (progress: number) => void): (output: string) => void {
  return (output) => {
    const percent = /\(([\d.]+)\/100%\)\s*$/.exec(output)?.[1];
    if (percent !== undefined) report(Number(percent) / 100);
  };
}
