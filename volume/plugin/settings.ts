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
  /** `collection_rate`: MiB a second that this host's garbage collection writes at most; undefined for no limit. */
  readonly collectionRate: number | undefined;
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
  let collectionRate: number | undefined;
  for (const [index, line] of text.split('\n').entries()) {
    const setting = line.replace(/#.*/, '').trim();
    if (setting === '') continue;
    const stack = /^required_cluster_stack\s*=\s*(corosync|none)$/.exec(setting)?.[1];
    const rate = /^collection_rate\s*=\s*([1-9]\d{0,5})$/.exec(setting)?.[1];
    if (stack === undefined && rate === undefined) {
      throw new PluginError(
        'InvalidSettings',
        `${file}, line ${index + 1}, cannot be used; write required_cluster_stack = corosync, or none, or collection_rate = a whole number of MiB a second.`,
      );
    }
    if (stack !== undefined) requiredClusterStack = stack === 'none' ? [] : [stack];
    if (rate !== undefined) collectionRate = Number(rate);
  }
  return { requiredClusterStack, collectionRate };
}
