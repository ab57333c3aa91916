/** All LUNs of the targets that are asked for, over all paths. */
import { type DiscoveredTarget, IscsiError, login, type Session } from 'node-iscsi-initiator';
import type { IscsiConfig } from '../device-config.ts';
import { formatPortal, isUnscopedLinkLocal, type Portal } from '../iscsi/portal.ts';
import type { ScsiIdentity } from '../iscsi/scsi-id.ts';
import { type Answer, credentials, discover } from './discovery.ts';
import { sentenceOf } from './failures.ts';
import { limiter } from './limit.ts';
import { describeLun, identify, isTimeout, type LunDescription } from './lun.ts';
import { walkOnce } from './paths.ts';

/** LUNs that are asked at once over one session, so that no target's queue runs full. */
const lunsAtOnce = 32;
/** Where so many LUNs of one session did not answer in time, no others are waited for. */
const silentAtMost = lunsAtOnce;
/** For logging in at a configured portal, and for each command, in ms. */
const timeout = 10_000;
/** For connecting to a portal that is only advertised: it may be on a network that this host has not. */
const advertisedTimeout = 3_000;

/** A LUN of a target. */
export interface Lun extends LunDescription {
  /** The target's name, as it spells it. */
  readonly target: string;
  /** Portals over which it was seen, with one and the same SCSI id. */
  readonly portals: readonly Portal[];
  /** Portals over which the same number has another SCSI id. */
  readonly strangers: readonly Portal[];
}

/** What was found. */
export interface Inventory {
  readonly answers: readonly Answer[];
  readonly luns: readonly Lun[];
  /** Targets that told which LUNs they have. */
  readonly targets: readonly string[];
  /** What kept a portal or a path from being used, an error each. */
  readonly failures: readonly unknown[];
  /** What an admin should know, a sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Logs in to the targets of `config` (all that there are, where it names none) at each of their portals,
 * and describes their LUNs; every session is logged out.
 *
 * A portal's targets are logged in to as soon as it has told of them. The LUNs of a target are described
 * over the first path that reaches them; further paths only confirm the SCSI id, or step in where the
 * first one failed.
 */
export async function takeInventory(
  config: IscsiConfig,
  initiatorName: string,
  signal: AbortSignal,
): Promise<Inventory> {
  const wanted = new Set(config.iqns.map((name) => name.toLowerCase()));
  const takesAll = wanted.size === 0 || wanted.has('*');
  const wants = (identity: ScsiIdentity | undefined): boolean =>
    config.scsiId === undefined || identity?.id === config.scsiId;

  const luns = new Map<string, Promise<Lun>>();
  const failures: unknown[] = [];
  const warnings: string[] = [];
  const listed = new Map<string, string>();
  /** Portals at which nobody answers: it would be the same for each target. */
  const dead = new Set<string>();
  const alive = new Set<string>();
  /** Configured portals, until they have answered or failed. */
  const asked = new Map(
    config.portals.map((portal) => [formatPortal(portal), Promise.withResolvers<void>()]),
  );

  const listLuns = async (session: Session, target: string, portal: Portal): Promise<void> => {
    const entries = await session.reportLuns();
    listed.set(target.toLowerCase(), target);
    const path = { session, portal, target, silences: 0 };
    const atOnce = limiter(lunsAtOnce);
    await Promise.all(
      entries.map(({ lun, raw, addressing }) => {
        if (lun === undefined) {
          warnings.push(`${target} has a LUN ${raw}h, whose addressing method is not supported`);
          return undefined;
        }
        return atOnce(() => {
          const key = `${target.toLowerCase()} ${lun}`;
          const next = describeOver(path, { lun, raw, addressing }, luns.get(key), wants);
          luns.set(key, next);
          return next;
        });
      }),
    );
  };

  const follow = walkOnce(async (target, portal) => {
    const where = formatPortal(portal);
    if (dead.has(where)) return false;
    let session: Session;
    try {
      session = await login({
        portal,
        target,
        initiatorName,
        ...credentials(config),
        timeout: asked.has(where) ? timeout : advertisedTimeout,
        signal,
      });
    } catch (error) {
      failures.push(error);
      // Where others could log in, or discover, it is this target that does not answer.
      if (!answered(error) && !alive.has(where)) dead.add(where);
      return false;
    }
    alive.add(where);
    try {
      await listLuns(session, target, portal);
    } catch (error) {
      failures.push(error);
    } finally {
      await session.close();
    }
    return true;
  });

  /** Follows the paths to the targets that one portal told of. */
  const followAll = async (from: Portal, targets: readonly DiscoveredTarget[]): Promise<void> => {
    const chosen = targets.filter(({ name }) => takesAll || wanted.has(name.toLowerCase()));
    await Promise.all(
      chosen.map(async ({ name, portals }) => {
        const usable = portals.filter((portal) => !isUnscopedLinkLocal(portal));
        const reached = await Promise.all(
          usable.map(async (portal) => {
            await asked.get(formatPortal(portal))?.promise;
            return follow(name, portal);
          }),
        );
        // An address behind a relay or a network translation is not what the target knows of itself.
        if (!reached.includes(true)) await follow(name, from);
      }),
    );
  };

  const started: Promise<void>[] = [];
  const discovery = await discover(config, initiatorName, signal, (from, answer) => {
    (answer instanceof Error && !answered(answer) ? dead : alive).add(formatPortal(from));
    asked.get(formatPortal(from))?.resolve();
    if (!(answer instanceof Error)) started.push(followAll(from, answer));
  });
  await Promise.all(started);

  // Some targets do not tell of themselves, and some portals let nobody discover.
  const named = config.iqns.filter((name) => name !== '*');
  const deaf = discovery.failures.filter(({ error }) => answered(error)).map((failure) => failure.asked);
  const told = new Set(
    discovery.answers.flatMap(({ targets }) => targets.map(({ name }) => name.toLowerCase())),
  );
  const untold = named.filter((name) => !told.has(name.toLowerCase()));
  await Promise.all([
    ...untold.flatMap((name) => discovery.answers.map((answer) => follow(name, answer.asked))),
    ...named.flatMap((name) => deaf.map((portal) => follow(name, portal))),
  ]);

  const allFailures = [...discovery.failures.map(({ error }) => error), ...failures];
  return {
    answers: discovery.answers,
    luns: await Promise.all(luns.values()),
    targets: [...listed.values()],
    failures: allFailures,
    warnings: [...new Set([...discovery.warnings, ...warnings, ...allFailures.map(sentenceOf)])],
  };
}

/** A session with a target over one of its portals. */
interface Path {
  readonly session: Session;
  readonly portal: Portal;
  readonly target: string;
  /** How many of its LUNs did not answer in time. */
  silences: number;
}

/**
 * Describes a LUN over one more path, after the paths before it: reads it where they have not, or sees
 * whether it is the same LUN here.
 */
async function describeOver(
  path: Path,
  entry: LunDescription['entry'],
  before: Promise<Lun> | undefined,
  wanted: Parameters<typeof describeLun>[2],
): Promise<Lun> {
  const { session, portal } = path;
  const known = await before;
  if (path.silences >= silentAtMost) return known ?? { ...passedOver(path, entry), ...seenOver(path) };
  if (known === undefined || known.problem !== undefined) {
    const description = await describeLun(session, entry, wanted);
    if (description.silent === true) path.silences += 1;
    const fails = known !== undefined && description.problem !== undefined;
    return fails ? { ...known, portals: [...known.portals, portal] } : { ...description, ...seenOver(path) };
  }
  try {
    const identity = await identify(session, known);
    return identity?.id === known.identity?.id
      ? { ...known, portals: [...known.portals, portal] }
      : { ...known, strangers: [...known.strangers, portal] };
  } catch (error) {
    if (isTimeout(error)) path.silences += 1;
    // This path cannot reach the LUN now; the rows say over which portals it was seen.
    return known;
  }
}

function seenOver({ target, portal }: Path): Pick<Lun, 'target' | 'portals' | 'strangers'> {
  return { target, portals: [portal], strangers: [] };
}

function passedOver({ portal, silences }: Path, entry: LunDescription['entry']): LunDescription {
  const where = formatPortal(portal);
  return {
    entry,
    problem: `it was not asked, since ${silences} LUNs before it did not answer at portal ${where}`,
  };
}

/** Whether the portal answered, and only did not let us do what we wanted. */
function answered(error: unknown): boolean {
  return (
    error instanceof IscsiError &&
    (error.step === 'login' || error.step === 'discovery') &&
    error.kind !== 'timeout' &&
    error.kind !== 'aborted'
  );
}
