/** Sees to it that a watcher of room lives while disks are written. */
import { closeSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitsFor } from '../../src/deadline.ts';
import { hostPaths } from '../../src/host-paths.ts';
import { lock } from '../../src/locks/flock.ts';
import { ownNode } from '../../src/own-node.ts';
import { readText } from '../../src/proc.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { isRoomWatched, openRoomFile, roomPlaces } from './places.ts';
import { isRunning, listWrittenDisks } from './written-disks.ts';

/** Milliseconds for others to start the watcher, and for it to start. */
const gateTimeout = 30_000;
const startTimeout = 20_000;

/**
 * Starts the watcher again when it was killed, as by a host short of memory: disks may be paused meanwhile. Ends when
 * it has ended well, or someone removed its folder.
 */
const supervisor = `
GFS2_SR_RUN_DIR=$1 UV_THREADPOOL_SIZE=64
export GFS2_SR_RUN_DIR UV_THREADPOOL_SIZE
shift
until "$@"; do
  [ -d "$GFS2_SR_RUN_DIR/room" ] || exit 0
  sleep 0.2
done`;

/**
 * Makes sure that the watcher lives, and does not end before the caller's work is over: the caller holds the state of a
 * disk that is going to be written.
 *
 * @throws PluginError `WatcherFailed`, `LockTimeout`.
 */
export async function keepRoomWatched(): Promise<void> {
  const { watcher, gate } = roomPlaces();
  const held = openRoomFile(gate);
  try {
    waitsFor('the watcher of room to start', gateTimeout + startTimeout);
    await lock(held, 'exclusive', gateTimeout, 'the start of the watcher of room');
    if (isRoomWatched()) return;
    // Whoever has its lock is dead, but not gone.
    rmSync(watcher, { force: true });
    await startWatcher();
  } finally {
    closeSync(held);
  }
}

/**
 * Starts the watcher anew where it and what starts it again were both killed while disks are written.
 *
 * @throws as keepRoomWatched.
 */
export async function reviveRoomWatcher(): Promise<void> {
  if (!isRoomWatched() && listWrittenDisks().some(isRunning)) await keepRoomWatched();
}

/** Tells the watcher that a disk has come, which is recorded. */
export function tellWatcher(): void {
  const { told } = roomPlaces();
  const fd = openRoomFile(told);
  try {
    // With a byte, for a file that stays as it is is no event.
    ftruncateSync(fd);
    writeSync(fd, '\n');
  } finally {
    closeSync(fd);
  }
}

async function startWatcher(): Promise<void> {
  const source = import.meta.filename.endsWith('.ts') ? 'ts' : 'cjs';
  const program = [...ownNode(), join(import.meta.dirname, `room-watcher.${source}`)];
  const { startDetached } = await import('../../src/detached-process.ts');
  const output = openSync(roomPlaces().log, 'w', 0o600);
  let isOver = false;
  try {
    const args = ['-c', supervisor, 'gfs2-sr-room', hostPaths.run, ...program];
    const { ended } = await startDetached('sh', args, { output, inherit: [] });
    void ended.then(() => {
      isOver = true;
    });
  } finally {
    closeSync(output);
  }
  for (const end = performance.now() + startTimeout; !isRoomWatched(); await sleep(5)) {
    if (!isOver && performance.now() < end) continue;
    const said = readText(roomPlaces().log)?.split('\n').at(-1);
    throw new PluginError(
      'WatcherFailed',
      `The process that pauses disks while their storage is full did not start (${said || 'it said nothing'}); see ${roomPlaces().log} and the host's log, and repeat the call.`,
    );
  }
}
