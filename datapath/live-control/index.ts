/** What the volume plugin may know of running disks, and do with them: the one part of `datapath` that it imports. */
export { type LiveDisk, switchToOverlay } from '../qemu/live-disk.ts';
export { listRunningDisks, type RunningDisk } from '../qemu/process.ts';
export { mayRunHere, withRunningDisk } from './running-disk.ts';
export { type RoomMarks, roomMarks } from '../room/marks.ts';
export { listPausedDisks, type WrittenDisk } from '../room/written-disks.ts';
