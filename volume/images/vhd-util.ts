import type { CommandOptions, CommandResult } from '../../src/commands.ts';
import { hasCommand } from '../../src/find-command.ts';
import { type ImageTool, runImageTool, toolMissing } from './image-tool.ts';

const enospc = 28;
const edquot = 122;

const tool: ImageTool = {
  command: 'vhd-util',
  missing:
    'vhd-util is not installed on this host, and images in vhd need it; install blktap, which XCP-ng and XenServer have, or use an SR of another image-format.',
  // Exit codes are errno values, as far as they go.
  isFull: ({ exitCode }) => exitCode === enospc || exitCode === edquot,
};

/** @throws PluginError `ToolMissing`. */
export function requireVhdUtil(): void {
  if (!hasCommand(tool.command)) throw toolMissing(tool);
}

/**
 * Runs vhd-util, of the project blktap: XCP-ng and XenServer have it. It follows the parents that an image names: who
 * calls has checked them; see {@link checkChain}.
 *
 * @throws as runImageTool.
 */
export async function vhdUtil(
  args: readonly string[],
  file: string,
  options: CommandOptions = {},
): Promise<CommandResult> {
  return await runImageTool(tool, args, file, options);
}
