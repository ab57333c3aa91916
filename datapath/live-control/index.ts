/** What the volume plugin may know of running disks, and do with them: the one part of `datapath` that it imports. */
export { listRunningDisks, type RunningDisk } from '../qemu/process.ts';
export { type RoomMarks, roomMarks } from '../room/marks.ts';
export { listPausedDisks, type WrittenDisk } from '../room/written-disks.ts';
