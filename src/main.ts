import { log, logFor } from './log.ts';
import { runEntry } from './smapi/entry.ts';
import type { CallName, Plugin } from './smapi/interface.ts';
import { circumstancesOf, pluginOf } from './standby/circumstances.ts';
import { standbyEntry } from './standby/successor.ts';

/** Calls that are rare, and much to load. */
const rare: readonly CallName[] = ['Plugin.diagnostics', 'SR.probe'];

/**
 * The main program of a plugin's bundle: `node <bundle> <entry> [argument...]`. With `--stand-by` it takes the call that
 * a relay brings, when there is one.
 *
 * Failures go to the caller, and to syslog with the caller's dbg.
 *
 * @param prepare loads what calls load when they need it, before there is one.
 */
export async function main(plugin: Plugin, prepare: () => Promise<unknown>): Promise<void> {
  let [entry = '', ...argv] = process.argv.slice(2);
  if (entry === standbyEntry) {
    const taken = await standByFor(plugin, prepare);
    if (taken === undefined) return;
    ({ entry, argv } = taken);
  }
  await runEntry(plugin, entry, argv, ({ call, dbg, error }) => {
    logFor(dbg);
    log('error', `${call} failed: ${error instanceof Error ? error.message : String(error)}`);
  });
}

async function standByFor(
  plugin: Plugin,
  prepare: () => Promise<unknown>,
): Promise<{ entry: string; argv: string[] } | undefined> {
  const [, bundle = ''] = process.argv;
  const { standBy } = await import('./standby/stand-by.ts');
  // Before the rest of it is loaded: what comes in its place meanwhile is another one.
  const circumstances = circumstancesOf(bundle);
  for (const name of Object.keys(plugin) as CallName[]) if (!rare.includes(name)) await plugin[name]?.();
  await prepare();
  const taken = standBy(pluginOf(bundle), bundle, circumstances);
  if (taken === undefined) return undefined;
  const { entry } = taken;
  const argv = [...taken.argv];
  process.argv.splice(2, process.argv.length, entry, ...argv);
  return { entry, argv };
}
