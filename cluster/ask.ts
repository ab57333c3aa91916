/** Asks the cluster's daemons, each question within a few seconds: a daemon that hangs is an answer, too. */
import type { CommandResult } from '../src/commands.ts';

/** Milliseconds for one question. */
const patience = 10_000;

/** Runs a tool that asks a daemon, and answers how it ended, whatever its exit code. */
export async function ask(tool: string, args: readonly string[] = []): Promise<CommandResult> {
  // A module of its own in the bundles: only calls that run commands load it.
  const { run } = await import('../src/commands.ts');
  return await run(tool, args, { timeout: patience, expect: [0, 1, 2] });
}
