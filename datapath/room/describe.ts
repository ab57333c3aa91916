/** What diagnostics say of the room of running disks. */
import { isRoomWatched } from './places.ts';
import { listLostDisks, listPausedDisks } from './written-disks.ts';

/** A line each. */
export function describeRoomWatch(): readonly string[] {
  return [
    `room of their storage: ${isRoomWatched() ? 'watched' : 'not watched, as no disk is written'}`,
    ...listPausedDisks().map(({ path }) => `${path}: paused, for its storage is full`),
    ...listLostDisks().map(({ path }) => `${path}: in use, but its process has ended`),
  ];
}
