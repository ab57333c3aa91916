import { log, logFor } from './log.ts';
import { runEntry } from './smapi/entry.ts';
import type { Plugin } from './smapi/interface.ts';

/**
 * The main program of a plugin's bundle: `node <bundle> <entry> [argument...]`.
 *
 * Failures go to the caller, and to syslog with the caller's dbg.
 */
export async function main(plugin: Plugin): Promise<void> {
  const [entry = '', ...argv] = process.argv.slice(2);
  await runEntry(plugin, entry, argv, ({ call, dbg, error }) => {
    logFor(dbg);
    log('error', `${call} failed: ${error instanceof Error ? error.message : String(error)}`);
  });
}
