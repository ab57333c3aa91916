import { PluginError } from '../../src/smapi/errors.ts';
import type { VolumeRow } from '../catalog/volumes.ts';

/** Names a volume to a person. */
export function describeVolume({ name, key }: VolumeRow): string {
  return `${JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name)} (${key})`;
}

/** Refuses something that cannot be done while disks run. */
export function volumesInUse(volumes: readonly VolumeRow[], refused: string): PluginError {
  const shown = volumes.slice(0, 3).map(describeVolume).join(', ');
  const more = volumes.length > 3 ? ` and ${volumes.length - 3} more` : '';
  const subject = volumes.length === 1 ? `The volume ${shown} is` : `The volumes ${shown}${more} are`;
  return new PluginError(
    'VolumeInUse',
    `${subject} in use; shut down or unplug what uses ${volumes.length === 1 ? 'it' : 'them'} (xe vbd-unplug) before ${refused}.`,
  );
}
