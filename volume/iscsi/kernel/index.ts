/**
 * The kernel's iSCSI initiator, by open-iscsi: sessions that outlive our processes, their disks, and the
 * multipath maps on top of them. See docs/iscsi.md.
 */
export { pathsHealth } from './health.ts';
export { logIn } from './login.ts';
export { logOut } from './logout.ts';
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
export { blockDevice } from './multipath.ts';
export { isUsable, listPaths, waitForPaths } from './paths.ts';
export { release } from './release.ts';
export { rescan } from './rescan.ts';
export { listSessions } from './sessions.ts';
