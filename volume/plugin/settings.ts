/** Settings of the product on this host. */
import { readFileSync } from 'node:fs';
import { hostPaths } from '../../src/host-paths.ts';
import { PluginError } from '../../src/smapi/errors.ts';

/** What the settings file says. */
export interface Settings {
  /**
   * `required_cluster_stack`: what Plugin.Query declares. xapi plugs such an SR only where its own cluster
   * daemon says that the host is quorate; a pool whose toolstack has none sets `none`.
   */
  readonly requiredClusterStack: readonly string[];
}

/**
 * Reads the settings: lines `key = value`, `#` before a comment. Without the file everything is as it
 * comes.
 *
 * @throws PluginError `InvalidSettings` naming the file, the line and what may be there.
 */
export function readSettings(file: string = hostPaths.settings): Settings {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  let requiredClusterStack = ['corosync'];
  for (const [index, line] of text.split('\n').entries()) {
    const setting = line.replace(/#.*/, '').trim();
    if (setting === '') continue;
    const value = /^required_cluster_stack\s*=\s*(corosync|none)$/.exec(setting)?.[1];
    if (value === undefined) {
      throw new PluginError(
        'InvalidSettings',
        `${file}, line ${index + 1}, cannot be used; write required_cluster_stack = corosync, or none.`,
      );
    }
    requiredClusterStack = value === 'none' ? [] : [value];
  }
  return { requiredClusterStack };
}
