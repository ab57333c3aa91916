import { rmSync, writeFileSync } from 'node:fs';
import { pausedMark } from '../room/written-disks.ts';
import type { LiveTapdisk } from './live-disk.ts';
import { pauseTapdisk, unpauseTapdisk } from './process.ts';

/**
 * Has a tapdisk close its images, and open what is at their paths after some work; its guest's I/O waits meanwhile. Of
 * one that is left paused the watcher of room knows by the mark.
 *
 * @throws TapCtlError; as `work`, when it has gone on.
 */
export async function reopenImage(disk: LiveTapdisk, work: () => Promise<void>): Promise<void> {
  const mark = pausedMark(disk);
  writeFileSync(mark, '', { mode: 0o600 });
  await pauseTapdisk(disk);
  try {
    await work();
  } finally {
    await unpauseTapdisk(disk, disk.path);
    rmSync(mark, { force: true });
  }
}
