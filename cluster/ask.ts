/** Asks the cluster's daemons, each question within a few seconds: a daemon that hangs is an answer, too. */
import type { CommandResult } from '../src/commands.ts';
import { PluginError } from '../src/smapi/errors.ts';

/** Milliseconds for one question; an answer takes far less than one second on an idle host. */
const patience = 10_000;

/**
 * Runs a tool that asks a daemon, and answers how it ended, whatever its exit code.
 *
 * @param unit the daemon's, without `.service`.
 * @throws PluginError `DaemonSilent` when no answer comes in time; CommandError when the tool cannot be run.
 */
export async function ask(
  unit: 'corosync' | 'dlm',
  tool: string,
  args: readonly string[] = [],
): Promise<CommandResult> {
  // A module of its own in the bundles: only calls that run commands load it.
  const { CommandError, run } = await import('../src/commands.ts');
  try {
    return await run(tool, args, { timeout: patience, expect: [0, 1, 2] });
  } catch (error) {
    if (!(error instanceof CommandError && error.timedOut)) throw error;
    throw new PluginError(
      'DaemonSilent',
      `The daemon of ${unit}.service has not answered ${tool} within ${patience / 1000} s; see journalctl -u ${unit}, and reset this host if it stays so.`,
      { cause: error },
    );
  }
}
