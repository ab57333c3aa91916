import type { KernelTarget, PathsHealth } from './model.ts';
import { mapOf } from './multipath.ts';
import { isUsable, listPaths } from './paths.ts';
import { distinctPortals, isTarget, isUp, listSessions, portalName, sessionOver } from './sessions.ts';

/**
 * Tells which paths to a LUN work and what became of the others, from what the kernel knows; nothing is
 * asked, so that nothing can hang.
 *
 * @param targets the SR's targets with all portals that it should have a session over.
 * @param mounted the device that is mounted, such as `/dev/sda`: without multipath I/O can go over no other.
 */
export function pathsHealth(
  targets: readonly Pick<KernelTarget, 'iqn' | 'portals'>[],
  scsiId: string,
  mounted?: string,
): PathsHealth {
  const sessions = listSessions();
  const paths = listPaths(scsiId).filter(({ session }) => targets.some(({ iqn }) => isTarget(session, iqn)));
  const expected = targets.flatMap((target) =>
    distinctPortals(target).map((portal) => ({ iqn: target.iqn, portal })),
  );
  const lost = expected.flatMap(({ iqn, portal }): readonly string[] => {
    const session = sessionOver(
      sessions.filter((each) => isTarget(each, iqn)),
      portal,
    );
    const where = portalName(portal);
    if (session === undefined) return [`portal ${where} of ${iqn} is not logged in to`];
    if (!isUp(session)) return [`the session with ${iqn} over portal ${where} is lost and being made anew`];
    const path = paths.find((each) => each.session.id === session.id);
    if (path === undefined) return [`portal ${where} of ${iqn} does not show the LUN`];
    return isUsable(path) ? [] : [`${path.device} over portal ${where} is ${path.state}`];
  });
  const usable = paths.filter(isUsable);
  const map = mapOf(scsiId);
  const working =
    map === undefined && mounted !== undefined
      ? usable.filter(({ device }) => device === mounted).length
      : usable.length;
  const waits = working === 0 && map !== undefined;
  return {
    working,
    idle: usable.length - working,
    lost: waits ? [...lost, 'all I/O waits for a path'] : lost,
  };
}
