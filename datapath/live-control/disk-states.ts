/** What can be said of running disks without a word to their processes; apart from the rest, which is much to load. */
export { type RoomMarks, roomMarks } from '../room/marks.ts';
export { listLostDisks, listPausedDisks, type WrittenDisk } from '../room/written-disks.ts';
