import { PluginError } from '../../src/smapi/errors.ts';

/** Disks come in whole blocks of LUNs with 4096-byte sectors, so that direct I/O reaches their end. */
const granularity = 4096n;
const maximum = 16n << 40n;

/**
 * The size of a disk that has at least `bytes`; also for 0 bytes there is one.
 *
 * @throws PluginError `InvalidSize`.
 */
export function roundSize(bytes: bigint): bigint {
  if (bytes < 0n)
    throw new PluginError('InvalidSize', `A volume cannot have ${bytes} bytes; ask for 0 or more.`);
  if (bytes > maximum) {
    throw new PluginError(
      'InvalidSize',
      `A volume of ${bytes} bytes is too big; at most ${maximum} (16 TiB) can be made.`,
    );
  }
  return bytes === 0n ? granularity : ((bytes + granularity - 1n) / granularity) * granularity;
}
