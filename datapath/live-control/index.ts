/** What the volume plugin may know of running disks, and do with them: the one part of `datapath` that it imports. */
export type { LiveDisk } from '../qemu/live-disk.ts';
export { askMerge, endMerge, giveUpMerge, type MergeState, startMerge } from '../qemu/live-merge.ts';
export { listRunningDisks, type RunningDisk } from '../qemu/process.ts';
export { reviveRoomWatcher } from '../room/keep-watched.ts';
export { type GrowableDisk, withGrowableDisk } from './grow-disk.ts';
export { mayRunHere, type SwitchableDisk, withRunningDisk, withSwitchableDisk } from './running-disk.ts';
