/** `/dev/loop-control` and the nodes of loop devices. */
import { closeSync, existsSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import { PluginError } from '../../src/smapi/errors.ts';
import { loopIoctls, loopRequests } from './ioctls.ts';

const control = '/dev/loop-control';

/**
 * Makes sure that the kernel has loop devices, loading its module where needed.
 *
 * @throws PluginError `LoopMissing` when it has none.
 */
export async function loadLoopModule(): Promise<void> {
  if (existsSync(control)) return;
  let why = '';
  try {
    const { run } = await import('../../src/commands.ts');
    await run('modprobe', ['loop']);
  } catch (error) {
    why = ` (${error instanceof Error ? error.message : String(error)})`;
  }
  if (!existsSync(control)) {
    throw new PluginError(
      'LoopMissing',
      `This host has no ${control}, which disks in raw files need; load the kernel's loop module with "modprobe loop"${why}.`,
    );
  }
}

/** The number of a loop device that was free a moment ago; the kernel makes a new one where none is. */
export function freeLoop(): number {
  const fd = openSync(control, 'r+');
  try {
    const number = loopIoctls().control(fd, loopRequests.getFree, 0);
    if (number >= 0) return number;
    throw new PluginError(
      'NoFreeLoop',
      `The kernel gives out no more loop devices (errno ${-number}); raise the loop module's max_loop, or deactivate disks.`,
    );
  } finally {
    closeSync(fd);
  }
}

/** Opens a loop device by its number; its caller closes it. */
export function openLoop(number: number, flags: 'r' | 'r+'): number {
  const path = loopPath(number);
  try {
    return openSync(path, flags);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    // devtmpfs makes the node of a new device; a /dev of another kind does not.
    const made = loopIoctls().makeNode(path, number);
    if (made < 0 && made !== -constants.errno.EEXIST) {
      throw new PluginError('LoopNodeMissing', `The device node ${path} cannot be made (errno ${-made}).`);
    }
    return openSync(path, flags);
  }
}

/** `/dev/loop<number>`. */
export function loopPath(number: number): string {
  return `/dev/loop${number}`;
}
