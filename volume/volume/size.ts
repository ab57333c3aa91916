import { PluginError } from '../../src/smapi/errors.ts';
import type { ImageFormat } from '../catalog/schema.ts';
import { formatDriver } from '../images/format.ts';

/**
 * The size of a disk that has at least `bytes`, as images of a format can have it; also for 0 bytes there is one.
 *
 * @throws PluginError `InvalidSize`.
 */
export function roundSize(bytes: bigint, format: ImageFormat): bigint {
  if (bytes < 0n)
    throw new PluginError('InvalidSize', `A volume cannot have ${bytes} bytes; ask for 0 or more.`);
  const { granularity, maximum } = formatDriver(format);
  if (bytes > maximum) {
    throw new PluginError(
      'InvalidSize',
      `A volume of ${bytes} bytes is too big; at most ${maximum} (${describeSize(maximum)}) can be made${format === 'vhd' ? ' in vhd' : ''}.`,
    );
  }
  const least = bytes === 0n ? 4096n : bytes;
  return ((least + granularity - 1n) / granularity) * granularity;
}

function describeSize(bytes: bigint): string {
  const tib = bytes >> 40n;
  return tib << 40n === bytes ? `${tib} TiB` : `${bytes >> 30n} GiB`;
}
