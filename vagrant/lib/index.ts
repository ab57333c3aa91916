/** Drives Vagrant machines on libvirt: see README.md. */

export type { AttachDiskOptions, Disk } from './disk.ts';
export { CommandFailure, CommandTimeout, InfrastructureError } from './errors.ts';
export { Machine } from './machine.ts';
export type { CutOptions, Direction } from './network.ts';
export type { ExecOptions, ExecResult } from './ssh.ts';
export { type MachineState, type ProgressEvent, Vagrant, type VagrantOptions } from './vagrant.ts';
