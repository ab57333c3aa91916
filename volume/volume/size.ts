import { PluginError } from '../../src/smapi/errors.ts';
import type { ImageFormat } from '../catalog/schema.ts';
import { formatDriver } from '../images/format.ts';

const maximum = 16n << 40n;

/**
 * The size of a disk that has at least `bytes`, as images of a format can have it; also for 0 bytes there is one.
 *
 * @throws PluginError `InvalidSize`.
 */
export function roundSize(bytes: bigint, format: ImageFormat): bigint {
  if (bytes < 0n)
    throw new PluginError('InvalidSize', `A volume cannot have ${bytes} bytes; ask for 0 or more.`);
  if (bytes > maximum) {
    throw new PluginError(
      'InvalidSize',
      `A volume of ${bytes} bytes is too big; at most ${maximum} (16 TiB) can be made.`,
    );
  }
  const { granularity } = formatDriver(format);
  return bytes === 0n ? 4096n : ((bytes + granularity - 1n) / granularity) * granularity;
}
