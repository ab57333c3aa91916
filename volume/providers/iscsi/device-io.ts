/**
 * Direct I/O on block devices: past the page cache, which knows nothing of what other hosts and our own
 * initiator have written, and never for longer than its limit.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { posix } from '../../../src/posix/index.ts';
import { PluginError } from '../../../src/smapi/errors.ts';

/** Milliseconds for one transfer. */
const defaultTimeout = 20_000;

/**
 * Reads a range of a device.
 *
 * @param offset and `length` in bytes, whole blocks of 4096.
 * @throws PluginError `DeviceFailed`.
 */
export async function readDevice(
  device: string,
  offset: number,
  length: number,
  timeout = defaultTimeout,
): Promise<Buffer> {
  const buffer = posix().alignedBuffer(length);
  return await withDevice(device, 'read', constants.O_RDONLY, timeout, async (file) => {
    const { bytesRead } = await file.read(buffer, 0, length, offset);
    if (bytesRead !== length) throw new Error(`only ${bytesRead} of ${length} bytes are there`);
    return buffer;
  });
}

/**
 * Writes a range of a device, and returns once it is on the medium.
 *
 * @param offset in bytes, as the length of `bytes` whole blocks of 4096.
 * @throws PluginError `DeviceFailed`.
 */
export async function writeDevice(
  device: string,
  offset: number,
  bytes: Uint8Array,
  timeout = defaultTimeout,
): Promise<void> {
  const buffer = posix().alignedBuffer(bytes.length);
  buffer.set(bytes);
  await withDevice(device, 'written', constants.O_WRONLY, timeout, async (file) => {
    const { bytesWritten } = await file.write(buffer, 0, buffer.length, offset);
    if (bytesWritten !== buffer.length) throw new Error(`only ${bytesWritten} bytes were written`);
    await file.sync();
  });
}

/** Whether this host has mounted a device, or built something on it. */
export async function isHeld(device: string): Promise<boolean> {
  try {
    const file = await open(device, constants.O_RDONLY | constants.O_EXCL);
    await file.close();
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EBUSY') return true;
    throw error;
  }
}

async function withDevice<T>(
  device: string,
  what: string,
  flags: number,
  timeout: number,
  use: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`it did not answer within ${timeout} ms`)), timeout);
  const work = async (): Promise<T> => {
    const file = await open(device, flags | constants.O_DIRECT);
    try {
      return await use(file);
    } finally {
      await file.close();
    }
  };
  try {
    return await Promise.race([work(), late.promise]);
  } catch (cause) {
    throw new PluginError(
      'DeviceFailed',
      `${device} cannot be ${what}: ${(cause as Error).message}; look at the array, the storage network and the kernel's log.`,
      { cause },
    );
  } finally {
    clearTimeout(timer);
    late.promise.catch(() => {});
  }
}
