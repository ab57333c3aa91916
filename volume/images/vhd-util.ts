import type { CommandOptions, CommandResult } from '../../src/commands.ts';
import { hasCommand } from '../../src/find-command.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { noSpace } from '../catalog/errors.ts';

/** @throws PluginError `ToolMissing`. */
export function requireVhdUtil(): void {
  if (!hasCommand('vhd-util')) throw toolMissing();
}

/**
 * Runs vhd-util, of the project blktap: XCP-ng and XenServer have it. It follows the parents that an image names: who
 * calls has checked them; see {@link checkChain}.
 *
 * @param file the image that it is about, for messages.
 * @throws PluginError `ToolMissing`, `ImageToolFailed`; NumberedError `NoSpace`.
 */
export async function vhdUtil(
  args: readonly string[],
  file: string,
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { CommandError, run } = await import('../../src/commands.ts');
  try {
    return await run('vhd-util', args, options);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    if (error.message.includes('is not installed')) throw toolMissing();
    // Exit codes are errno values, as far as they go.
    if (error.exitCode === enospc || error.exitCode === edquot) {
      throw noSpace(`the image ${file}`, file, error);
    }
    throw new PluginError('ImageToolFailed', `The image ${file} could not be worked on: ${error.message}`, {
      cause: error,
    });
  }
}

const enospc = 28;
const edquot = 122;

function toolMissing(): PluginError {
  return new PluginError(
    'ToolMissing',
    'vhd-util is not installed on this host, and images in vhd need it; install blktap, which XCP-ng and XenServer have, or use an SR of another image-format.',
  );
}
