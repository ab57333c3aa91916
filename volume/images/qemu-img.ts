import type { CommandOptions, CommandResult } from '../../src/commands.ts';
import { type ImageTool, runImageTool } from './image-tool.ts';

const tool: ImageTool = {
  command: 'qemu-img',
  missing: 'qemu-img is not installed on this host; install it (on Debian the package qemu-utils).',
  isFull: ({ stderr }) => /No space left on device|Disk quota exceeded/.test(stderr),
};

/**
 * Runs qemu-img. It must not be left to find out a format or a parent: who calls states the one, and has checked
 * the other; see {@link checkChain}.
 *
 * @throws as runImageTool.
 */
export async function qemuImg(
  args: readonly string[],
  file: string,
  options: CommandOptions = {},
): Promise<CommandResult> {
  return await runImageTool(tool, args, file, options);
}

/** Reads how far a qemu-img is that was told to say so (`-p`), and reports it, from 0 to 1. */
export function reportPercent(report: (progress: number) => void): (output: string) => void {
  return (output) => {
    const percent = /\(([\d.]+)\/100%\)\s*$/.exec(output)?.[1];
    if (percent !== undefined) report(Number(percent) / 100);
  };
}
