import { PluginError } from '../../src/smapi/errors.ts';
import type { VolumeRow } from '../catalog/volumes.ts';

/** Names a volume to a person. */
export function describeVolume({ name, key }: { readonly name: string; readonly key: string }): string {
  return `${JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name)} (${key})`;
}

/**
 * Refuses something that cannot be done while disks run.
 *
 * @param volumes none where an image is in use that is no volume's: one that a copy is made to, or that someone
 * still reads.
 */
export function volumesInUse(volumes: readonly VolumeRow[], refused: string): PluginError {
  if (volumes.length === 0) {
    return new PluginError(
      'VolumeInUse',
      `An image of the SR is in use that is no volume's, such as that of a copy under way; wait for its end before ${refused}.`,
    );
  }
  const shown = volumes.slice(0, 3).map(describeVolume).join(', ');
  const more = volumes.length > 3 ? ` and ${volumes.length - 3} more` : '';
  const subject = volumes.length === 1 ? `The volume ${shown} is` : `The volumes ${shown}${more} are`;
  return new PluginError(
    'VolumeInUse',
    `${subject} in use; shut down or unplug what uses ${volumes.length === 1 ? 'it' : 'them'} (xe vbd-unplug) before ${refused}.`,
  );
}
