import type { CommandError, CommandOptions, CommandResult } from '../../../src/commands.ts';

/** Runs a command as `src/commands.ts` does, which is loaded only where one runs. */
export async function run(
  command: string,
  args: readonly string[],
  options?: CommandOptions,
): Promise<CommandResult> {
  const commands = await import('../../../src/commands.ts');
  return commands.run(command, args, options);
}

/** How a command ended that may fail: with an exit code, or not at all. */
export interface Outcome {
  /** Undefined where it did not run, or not to its end. */
  readonly exitCode: number | undefined;
  /**
   * What it said: the daemon's error that iscsiadm passes on, or its last line; or why there is no exit code.
   * Empty where it said nothing.
   */
  readonly said: string;
}

// By its shape: commands are bundled by themselves, with a class of their own.
function isCommandError(error: unknown): error is CommandError {
  return error instanceof Error && 'exitCode' in error && 'stderr' in error;
}

/** Runs a command whose failure is for its caller to judge. */
export async function attempt(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<Outcome> {
  try {
    const { stdout, stderr } = await run(command, args, options);
    return { exitCode: 0, said: telling(stderr) ?? telling(stdout) ?? '' };
  } catch (error) {
    if (!isCommandError(error)) throw error;
    const { exitCode, stderr } = error;
    return {
      exitCode,
      said: exitCode === undefined ? error.message : (telling(stderr) ?? error.message),
    };
  }
}

/**
 * Writes to a file of /sys, where the kernel may not come back: so a process of its own does it.
 *
 * @param timeout milliseconds.
 */
export async function writeToKernel(file: string, value: string, timeout: number): Promise<void> {
  await run('tee', [file], { input: value, timeout });
}

function telling(text: string): string | undefined {
  const reported = /initiator reported error \((?:\d+ - )?(.+?)\)/.exec(text)?.[1];
  const last = text.split('\n').findLast((line) => line.trim() !== '');
  return reported ?? last?.trim();
}
