/** Logins that iscsid is still at, also for a call that has died or given up on them. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits until iscsid is at no login to some targets any more. Each has an iscsiadm that waits for its end,
 * which goes on where the call that started it does not.
 *
 * @param timeout milliseconds.
 */
export async function settleLogins(iqns: readonly string[], timeout: number): Promise<void> {
  const end = performance.now() + timeout;
  while (performance.now() < end && isLoggingIn(iqns)) await sleep(200);
}

/** Whether a process of this host logs in to any of some targets. */
export function isLoggingIn(iqns: readonly string[]): boolean {
  const names = new Set(iqns.map((iqn) => iqn.toLowerCase()));
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(readArguments)
    .some(
      ([program = '', ...args]) =>
        /(^|\/)iscsiadm$/.test(program) &&
        args.includes('--login') &&
        args.some((arg) => names.has(arg.toLowerCase())),
    );
}

// Processes end while they are looked at.
function readArguments(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
  } catch {
    return [];
  }
}
