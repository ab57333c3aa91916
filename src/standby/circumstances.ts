import { basename, dirname, join } from 'node:path';

/** The program that hands calls over, beside a bundle. */
export function relayOf(bundle: string): string {
  return join(dirname(bundle), 'relay');
}

/** The plugin of a bundle. */
export function pluginOf(bundle: string): string {
  return basename(bundle, '.cjs');
}

/**
 * What a call of a bundle would find if this process were it, as the relay describes it: which version of the plugin, and
 * what it sees and may do.
 */
export function circumstancesOf(bundle: string): string {
  const { execFileSync } = process.getBuiltinModule('node:child_process');
  return execFileSync(relayOf(bundle), [bundle], { encoding: 'utf8', cwd: '/' });
}
