/**
 * The kernel's iSCSI initiator, by open-iscsi: sessions that outlive our processes, their disks, and the
 * multipath maps on top of them. See docs/iscsi.md.
 */
import type { KernelTarget, Login, LunSizes, Path, PathsHealth, Session } from './model.ts';

export type {
  KernelTarget,
  Login,
  LunSizes,
  Path,
  PathSize,
  PathsHealth,
  PortalFailure,
  Session,
  TargetPortal,
} from './model.ts';

/** The kernel's sessions, with one target or with all. */
export function listSessions(_iqn?: string): readonly Session[] {
  throw new Error('to come');
}

/**
 * Logs in to all portals of a target at once, where there is no session yet; for one LUN, whose sessions
 * no other release ends from then on.
 *
 * @throws NumberedError 68 or 141, PluginError: no session came about.
 */
export async function logIn(_target: KernelTarget, _scsiId: string): Promise<Login> {
  throw new Error('to come');
}

/** Ends sessions, and removes the records that we made for them. */
export async function logOut(_sessions: readonly Session[]): Promise<void> {
  throw new Error('to come');
}

/** Paths to a LUN, as the kernel remembers it; nothing is asked, so that nothing can hang. */
export function listPaths(_scsiId: string): readonly Path[] {
  throw new Error('to come');
}

/**
 * Waits for the LUN on the sessions with some targets, looking for it again meanwhile. Each path was asked
 * for its identity by a command.
 *
 * @throws PluginError.
 */
export async function waitForPaths(
  _iqns: readonly string[],
  _scsiId: string,
  _timeout: number,
): Promise<readonly Path[]> {
  throw new Error('to come');
}

/** The device to mount: a multipath map that queues, where multipathd runs; else one of the paths. */
export async function blockDevice(_scsiId: string, _paths: readonly Path[]): Promise<string> {
  throw new Error('to come');
}

/**
 * Lets go of a LUN, which nobody uses any more: its map, its disks, the sessions that nobody else uses, and
 * our records of them.
 */
export async function release(_iqns: readonly string[], _scsiId: string): Promise<void> {
  throw new Error('to come');
}

/** Makes the kernel look at the LUN's size again over every path, and at the map's. */
export async function rescan(_iqns: readonly string[], _scsiId: string): Promise<LunSizes> {
  throw new Error('to come');
}

/** Tells which paths to a LUN work, from what the kernel knows; nothing is asked. */
export function pathsHealth(_targets: readonly KernelTarget[], _scsiId: string): PathsHealth {
  throw new Error('to come');
}
