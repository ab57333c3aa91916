/** Log lines for syslog and the journal, with the caller's dbg. */
import { posix } from './posix/index.ts';

/** syslog(3) priorities. */
const priorities = { error: 3, warning: 4, info: 6 } as const;

let dbg = '';

/** Names the caller of this process's call in every later line. */
export function logFor(caller: string): void {
  dbg = caller;
}

/**
 * Writes one line to syslog. Text from a configuration goes through `maskSecrets` first.
 *
 * Never throws: a host without a log loses the line, not the call.
 */
export function log(level: keyof typeof priorities, text: string): void {
  try {
    posix().syslog(priorities[level], `${dbg === '' ? '' : `${dbg}: `}${text}`.replaceAll(/\p{Cc}/gu, ' '));
  } catch {}
}

/** A configuration that is fit to be shown: every value under a key that names a secret is masked. */
export function maskSecrets(
  configuration: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(configuration).map(([key, value]) => [key, /pass|secret|key$/i.test(key) ? '***' : value]),
  );
}
