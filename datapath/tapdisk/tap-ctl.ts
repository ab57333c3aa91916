/** tap-ctl, which speaks to tapdisks: of the project blktap, which XCP-ng and XenServer have. */
import { hasCommand } from '../../src/find-command.ts';
import { PluginError } from '../../src/smapi/errors.ts';

/** Where tapdisks have their sockets; tap-ctl has it built in. */
export const controlFolder = '/run/blktap-control';

/** Milliseconds for a command; tapdisk answers most at once. */
const defaultTimeout = 20_000;

/** Whether this host has tap-ctl, and so tapdisk. */
export function hasTapCtl(): boolean {
  return hasCommand('tap-ctl');
}

/** @throws PluginError `ToolMissing`. */
export function requireTapCtl(): void {
  if (!hasTapCtl()) throw toolMissing();
}

/** Tells that tap-ctl is not there. */
export function toolMissing(): PluginError {
  return new PluginError(
    'ToolMissing',
    'tap-ctl is not installed on this host, and disks in vhd are served by its tapdisk; install blktap, which XCP-ng and XenServer have.',
  );
}

/** A command that tap-ctl did not do; its exit codes are errno values. */
export class TapCtlError extends Error {
  /** Whether it had no answer in time. */
  readonly timedOut: boolean;

  constructor(message: string, timedOut: boolean) {
    super(message);
    this.timedOut = timedOut;
  }
}

/**
 * Has tap-ctl do something.
 *
 * @param timeout milliseconds.
 * @throws TapCtlError with its words; PluginError `ToolMissing`.
 */
export async function tapCtl(args: readonly string[], timeout = defaultTimeout): Promise<void> {
  const { CommandError, run } = await import('../../src/commands.ts');
  try {
    await run('tap-ctl', args, { timeout });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    if (error.message.includes('is not installed')) throw toolMissing();
    throw new TapCtlError(error.message.replace(/\.$/, ''), error.timedOut);
  }
}
