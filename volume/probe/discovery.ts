/** Which targets there are, as all portals together tell it. */
import {
  type ConnectionOptions,
  type DiscoveredTarget,
  discoverTargets,
  IscsiError,
} from 'node-iscsi-initiator';
import type { IscsiConfig } from '../device-config.ts';
import { formatPortal, isUnscopedLinkLocal, type Portal } from '../iscsi/portal.ts';

/** How long a portal may take to connect and answer, in ms. */
const portalTimeout = 10_000;
/** How long after the start other portals are waited for once one has answered, in ms. */
const graceTime = 5_000;

/** A portal and the target portal group to which it belongs. */
export interface TargetPortal extends Portal {
  readonly tpgt: number;
}

/** What one portal said. */
export interface Answer {
  /** The portal that was asked. */
  readonly asked: Portal;
  readonly targets: readonly DiscoveredTarget[];
}

/** A target, and where all portals together say that it is. */
export interface Target {
  /** As the target spells it. */
  readonly name: string;
  /** Each once, by address, port and group; none that cannot be reached from anywhere. */
  readonly portals: readonly TargetPortal[];
}

/** What came of asking all portals. */
export interface Discovery {
  readonly answers: readonly Answer[];
  readonly failures: readonly { readonly asked: Portal; readonly error: unknown }[];
  /** What an admin should know, a sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Asks every configured portal for its targets, all at once: a portal often tells only of its own
 * portal group.
 *
 * Once one has answered, the others have five seconds from the start, so that a dead portal does not
 * make every probe slow.
 *
 * @param onAnswer told of each portal's answer, or failure, as it comes.
 */
export async function discover(
  config: IscsiConfig,
  initiatorName: string,
  signal: AbortSignal,
  onAnswer: (asked: Portal, answer: readonly DiscoveredTarget[] | Error) => void = () => undefined,
): Promise<Discovery> {
  const start = performance.now();
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const answers: Answer[] = [];
  const failures: { asked: Portal; error: unknown }[] = [];
  await Promise.all(
    config.portals.map(async (asked) => {
      try {
        const found = await askPortal(config, {
          portal: asked,
          initiatorName,
          timeout: portalTimeout,
          signal: AbortSignal.any([signal, late.signal]),
        });
        const targets = found.map((target) => ({ ...target, portals: scoped(target.portals, asked) }));
        answers.push({ asked, targets });
        timer ??= setTimeout(() => late.abort(), Math.max(0, graceTime - (performance.now() - start)));
        onAnswer(asked, targets);
      } catch (error) {
        const seconds = Math.round((performance.now() - start) / 1000);
        const failure = late.signal.aborted ? withoutAnswer(asked, error, seconds) : error;
        failures.push({ asked, error: failure });
        onAnswer(asked, failure instanceof Error ? failure : new Error(String(failure)));
      }
    }),
  );
  clearTimeout(timer);
  return { answers, failures, warnings: unusablePortals(answers) };
}

/**
 * Most arrays authenticate no discovery, or only the host in it, whatever their targets do. That is good
 * enough for a list: a target of `config.mutualChap` has to prove itself when it is logged in to.
 */
async function askPortal(
  config: IscsiConfig,
  options: ConnectionOptions,
): Promise<readonly DiscoveredTarget[]> {
  const { chap, mutualChap } = credentials(config);
  const ours = { ...options, ...(chap === undefined ? {} : { chap }) };
  if (mutualChap === undefined) return await discoverTargets(ours);
  try {
    return await discoverTargets({ ...ours, mutualChap });
  } catch (error) {
    if (!(error instanceof IscsiError) || error.kind !== 'authentication') throw error;
    return await discoverTargets(ours);
  }
}

/** A link-local address that we were told to ask is on the network that we were told with it. */
function scoped(portals: DiscoveredTarget['portals'], asked: Portal): DiscoveredTarget['portals'] {
  const [address] = asked.host.split('%');
  return portals.map((portal) =>
    isUnscopedLinkLocal(portal) && portal.host.toLowerCase() === address
      ? { ...portal, host: asked.host }
      : portal,
  );
}

/** The CHAP part of a connection's options. */
export function credentials({
  chap,
  mutualChap,
}: IscsiConfig): Partial<Pick<IscsiConfig, 'chap' | 'mutualChap'>> {
  return {
    ...(chap === undefined ? {} : { chap }),
    ...(mutualChap === undefined ? {} : { mutualChap }),
  };
}

/** Merges what the portals said, by the targets' names (without regard to case), sorted by name. */
export function mergeTargets(answers: readonly Answer[]): readonly Target[] {
  const merged = new Map<string, { name: string; portals: Map<string, TargetPortal> }>();
  for (const { targets } of answers) {
    for (const { name, portals } of targets) {
      const target = merged.get(name.toLowerCase()) ?? { name, portals: new Map<string, TargetPortal>() };
      merged.set(name.toLowerCase(), target);
      for (const { host, port, tpgt } of portals) {
        const portal = { host, port, tpgt };
        if (!isUnscopedLinkLocal(portal)) target.portals.set(formatTargetPortal(portal), portal);
      }
    }
  }
  return [...merged.values()]
    .map(({ name, portals }) => ({ name, portals: [...portals.values()] }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** A portal as open-iscsi writes it: `10.0.0.1:3260,1`. */
export function formatTargetPortal(portal: TargetPortal): string {
  return `${formatPortal(portal)},${portal.tpgt}`;
}

function withoutAnswer(portal: Portal, error: unknown, seconds: number): unknown {
  if (!(error instanceof IscsiError) || error.kind !== 'aborted') return error;
  return new IscsiError(
    'timeout',
    { step: error.step, portal },
    `no answer within ${seconds} s, while another portal answered`,
  );
}

function unusablePortals(answers: readonly Answer[]): readonly string[] {
  const unusable = answers.flatMap(({ targets }) =>
    targets.flatMap(({ name, portals }) =>
      portals
        .filter(isUnscopedLinkLocal)
        .map(
          (portal) =>
            `${name} offers portal ${formatPortal(portal)}, a link-local address that does not say on which network, so it is left out; give it in ips with its interface if it is wanted, such as [fe80::1%eth1]`,
        ),
    ),
  );
  return [...new Set(unusable)];
}
