import { IscsiError } from './errors.ts';
import { establish } from './login.ts';
import { type ConnectionOptions, DEFAULT_TIMEOUT } from './options.ts';
import { formatPortal, isScopeless, type Portal, parseTargetAddress, type TargetAddress } from './portal.ts';
import { CLOSE_TIMEOUT } from './session.ts';
import { textPairs } from './text.ts';

/** A portal at which a target can be reached (TargetAddress, RFC 7143 section 13.8). */
export interface DiscoveredPortal extends TargetAddress {
  /** A link-local address without its interface: nothing can be reached there as it stands. */
  readonly linkLocal: boolean;
}

/** A target that a portal offers to this initiator (TargetName, RFC 7143 section 13.4). */
export interface DiscoveredTarget {
  /** As the target spells it. */
  readonly name: string;
  readonly portals: readonly DiscoveredPortal[];
}

/**
 * Reads a SendTargets answer (RFC 7143 appendix C). A target without an address
 * is at the portal that was asked; addresses that cannot be read are left out.
 * Undefined when the text is not an answer to SendTargets.
 */
export function parseTargets(text: Uint8Array, asked: Portal): DiscoveredTarget[] | undefined {
  const pairs = textPairs(text);
  if (pairs === undefined) return undefined;
  const found = new Map<string, { addresses: Map<string, DiscoveredPortal>; named: boolean }>();
  let current: { addresses: Map<string, DiscoveredPortal>; named: boolean } | undefined;
  for (const [key, value] of pairs) {
    if (key === 'TargetName') {
      if (value === '') return undefined;
      current = found.get(value) ?? { addresses: new Map(), named: false };
      found.set(value, current);
    } else if (key === 'TargetAddress') {
      if (current === undefined) return undefined;
      current.named = true;
      const address = parseTargetAddress(value);
      if (address === undefined) continue;
      const portal = { ...address, linkLocal: isScopeless(address.host) };
      current.addresses.set(`${formatPortal(portal)},${portal.tpgt}`, portal);
    }
  }
  return [...found].map(([name, { addresses, named }]) => ({
    name,
    portals: named
      ? [...addresses.values()]
      : [{ host: asked.host, port: asked.port, tpgt: 1, linkLocal: isScopeless(asked.host) }],
  }));
}

/**
 * Asks a portal for all targets that it offers to this initiator: a discovery
 * session with SendTargets=All, ended by a logout. No targets is an empty list.
 * @throws {IscsiError}
 */
export async function discoverTargets(options: ConnectionOptions): Promise<readonly DiscoveredTarget[]> {
  const { timeout = DEFAULT_TIMEOUT } = options;
  const started = performance.now();
  const { connection } = await establish(options, undefined);
  try {
    const text = await connection.sendTargets(Math.max(1, timeout - (performance.now() - started)));
    const targets = parseTargets(text, options.portal);
    if (targets === undefined) {
      const context = { step: 'discovery', portal: connection.portal } as const;
      throw new IscsiError('protocol', context, 'the answer is no list of targets');
    }
    return targets;
  } finally {
    await connection.close(CLOSE_TIMEOUT);
  }
}
