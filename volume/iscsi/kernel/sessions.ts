import { formatPortal, type Portal, parsePortal } from '../portal.ts';
import type { KernelTarget, Session, TargetPortal } from './model.ts';
import { readSessions, type SessionAttributes } from './sysfs.ts';

/** The kernel's sessions, with one target or with all, in the order of their numbers. */
export function listSessions(iqn?: string): readonly Session[] {
  return readSessions()
    .map(toSession)
    .filter((session) => iqn === undefined || isTarget(session, iqn))
    .toSorted((a, b) => a.id - b.id);
}

/** What the kernel shows of a session, in our terms. */
export function toSession(attributes: SessionAttributes): Session {
  const number = (text: string): number => (/^-?\d+$/.test(text) ? Number(text) : -1);
  return {
    id: attributes.id,
    iqn: attributes.targetName,
    address: attributes.persistentAddress,
    port: number(attributes.persistentPort),
    tpgt: number(attributes.tpgt),
    state: attributes.state,
    // "off" where it is for ever.
    recoveryTimeout: number(attributes.recoveryTimeout),
  };
}

/** Whether a session is with a target; names differ in nothing but case where one target has them both. */
export function isTarget({ iqn }: Pick<Session, 'iqn'>, other: string): boolean {
  return iqn.toLowerCase() === other.toLowerCase();
}

/** The session over one portal of a target. */
export function sessionOver(sessions: readonly Session[], portal: TargetPortal): Session | undefined {
  const over = sessions.filter((session) => isSamePortal(session, portal));
  return over.find(isUp) ?? over[0];
}

/** Whether a session is there to be used. */
export function isUp({ state }: Session): boolean {
  return state === 'LOGGED_IN';
}

/** Whether two portals are one, however their addresses are spelled. */
export function isSamePortal(a: TargetPortal, b: TargetPortal): boolean {
  return portalName(a) === portalName(b);
}

/** A portal as people write it: `10.0.0.1:3260`, `[2001:db8::1]:3260`. */
export function portalName({ address, port }: TargetPortal): string {
  const portal: Portal = { host: address, port };
  try {
    return formatPortal(parsePortal(formatPortal(portal)));
  } catch {
    // What the kernel has may be no portal that we would take.
    return formatPortal(portal);
  }
}

/** Sessions with any of some targets. */
export function sessionsOf(iqns: readonly string[]): readonly Session[] {
  return listSessions().filter((session) => iqns.some((iqn) => isTarget(session, iqn)));
}

/** A target's portals, each once. */
export function distinctPortals({ portals }: Pick<KernelTarget, 'portals'>): readonly TargetPortal[] {
  return [...new Map(portals.map((portal) => [portalName(portal), portal])).values()];
}
