/** What the kernel's initiator is asked for, and what it has. */
import type { Chap } from '../../device-config.ts';

/** A portal of a target, with the number of its portal group where discovery told it. */
export interface TargetPortal {
  /** An IPv4 address, an IPv6 address without brackets (`%scope` allowed), or a host name. */
  readonly address: string;
  readonly port: number;
  readonly tpgt?: number;
}

/** A target, and how to log in to it. */
export interface KernelTarget {
  readonly iqn: string;
  readonly portals: readonly TargetPortal[];
  readonly chap?: Chap;
  readonly mutualChap?: Chap;
  /** Where the target is expected to show the LUN, as REPORT LUNS has it: 16 hexadecimal digits. */
  readonly rawLun?: string;
}

/** A session of the kernel. */
export interface Session {
  /** The kernel's number of it. */
  readonly id: number;
  readonly iqn: string;
  /** The portal that was asked for, which may have sent us on to another one. */
  readonly address: string;
  readonly port: number;
  /** -1 where the target did not tell. */
  readonly tpgt: number;
  /** `LOGGED_IN`; `FAILED` while it is being made anew; `FREE`. */
  readonly state: string;
  /** Seconds for which I/O waits for a lost session before it fails; below 0 for ever. */
  readonly recoveryTimeout: number;
}

/** A portal that could not be logged in to. */
export interface PortalFailure {
  /** As people write it: `10.0.0.1:3260`, `[2001:db8::1]:3260`. */
  readonly portal: string;
  /** What happened, and what to do about it. */
  readonly sentence: string;
}

/** How a login went. */
export interface Login {
  /** The sessions with the target's portals that are there now; at least one. */
  readonly sessions: readonly Session[];
  /** Those of them that this login made. */
  readonly made: readonly Session[];
  readonly failures: readonly PortalFailure[];
}

/** A disk of the kernel that is one way to a LUN. */
export interface Path {
  /** Such as `/dev/sdb`. */
  readonly device: string;
  readonly session: Session;
  readonly lun: bigint;
  /** Of the disk, in the kernel's words: `running`, `blocked`, `offline`, `transport-offline`, ... */
  readonly state: string;
}

/** The size of a LUN over one path, in bytes. */
export interface PathSize {
  readonly path: Path;
  /** What the LUN itself answers (READ CAPACITY); undefined where it did not answer. */
  readonly reported: bigint | undefined;
  /** What the kernel lets its users see. */
  readonly seen: bigint;
}

/** The sizes of a LUN after a rescan. */
export interface LunSizes {
  readonly paths: readonly PathSize[];
  /** The multipath map, where there is one. */
  readonly map?: { readonly device: string; readonly seen: bigint };
}

/** The paths to a LUN, told to people. */
export interface PathsHealth {
  /** How many paths work, of those that I/O can go over. */
  readonly working: number;
  /** How many work besides, that I/O cannot go over: without multipath only the one that is mounted is used. */
  readonly idle: number;
  /** What does not work, a sentence each without a full stop. */
  readonly lost: readonly string[];
}
