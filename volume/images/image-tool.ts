import type { CommandError, CommandOptions, CommandResult } from '../../src/commands.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { noSpace } from '../catalog/errors.ts';

/** A command that makes and changes images, and what its failures mean. */
export interface ImageTool {
  readonly command: string;
  /** What to install where it is missing, as a sentence. */
  readonly missing: string;
  isFull(error: CommandError): boolean;
}

/** `ToolMissing`. */
export function toolMissing({ missing }: ImageTool): PluginError {
  return new PluginError('ToolMissing', missing);
}

/**
 * Runs such a command.
 *
 * @param file the image that it is about, for messages.
 * @throws PluginError `ToolMissing`, `VolumeTooBig`, `ImageToolFailed`; NumberedError `NoSpace`.
 */
export async function runImageTool(
  tool: ImageTool,
  args: readonly string[],
  file: string,
  options: CommandOptions,
): Promise<CommandResult> {
  const { CommandError: Failure, run } = await import('../../src/commands.ts');
  try {
    return await run(tool.command, args, options);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.message.includes('is not installed')) throw toolMissing(tool);
    if (tool.isFull(error)) throw noSpace(`the image ${file}`, file, error);
    if (error.stderr.includes('File too large')) {
      throw new PluginError(
        'VolumeTooBig',
        `The filesystem has no files as big as the image ${file} needs.`,
        { cause: error },
      );
    }
    throw new PluginError('ImageToolFailed', `The image ${file} could not be worked on: ${error.message}`, {
      cause: error,
    });
  }
}
