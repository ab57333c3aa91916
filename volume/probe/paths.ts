/** Paths: a target over one of its portals. */
import { formatPortal, type Portal } from '../iscsi/portal.ts';
import { limiter } from './limit.ts';

/** Arrays limit sessions by initiator: so many are open at once with one target, and in all. */
const sessionsPerTarget = 4;
const sessionsInAll = 32;

/** Goes over a path, and answers whether it could log in. */
export type Walk = (target: string, portal: Portal) => Promise<boolean>;

/** Goes over each path once, however often it is asked for, and over few at a time. */
export function walkOnce(walk: Walk): Walk {
  const walks = new Map<string, Promise<boolean>>();
  const inAll = limiter(sessionsInAll);
  const ofTarget = new Map<string, ReturnType<typeof limiter>>();
  return (target, portal) => {
    const name = target.toLowerCase();
    const ofThisTarget = ofTarget.get(name) ?? limiter(sessionsPerTarget);
    ofTarget.set(name, ofThisTarget);
    const key = `${name} ${formatPortal(portal)}`;
    const walked = walks.get(key) ?? ofThisTarget(() => inAll(() => walk(target, portal)));
    walks.set(key, walked);
    return walked;
  };
}
