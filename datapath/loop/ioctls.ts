import { loadAddon } from '../../src/addon.ts';

/** What a loop device is bound to. */
export interface LoopStatus {
  /** st_dev and st_ino of the backing file. */
  readonly device: bigint;
  readonly inode: bigint;
  /** Of `loopFlags`. */
  readonly flags: number;
  /** The name that it was bound with; at most 63 bytes. */
  readonly name: string;
}

/** linux/loop.h; every function answers a negative errno where the kernel refuses. */
interface LoopIoctls {
  /** A request whose argument is an integer. */
  control(fd: number, request: number, argument: number): number;
  /** LOOP_CONFIGURE, since Linux 5.8. */
  configure(loop: number, image: number, name: string, blockSize: number, flags: number): number;
  setStatus(loop: number, name: string, flags: number): number;
  getStatus(loop: number): LoopStatus | number;
  makeNode(path: string, minor: number): number;
}

/** Requests for `control`. */
export const loopRequests = {
  setFd: 0x4c00,
  clearFd: 0x4c01,
  setCapacity: 0x4c07,
  setDirectIo: 0x4c08,
  setBlockSize: 0x4c09,
  getFree: 0x4c82,
} as const;

/** LO_FLAGS_*. */
export const loopFlags = { readOnly: 1, autoclear: 4, directIo: 16 } as const;

let loaded: LoopIoctls | undefined;

/** The ioctls, from the addon. */
export function loopIoctls(): LoopIoctls {
  loaded ??= loadAddon('loop') as LoopIoctls;
  return loaded;
}
