import { isIPv4, isIPv6 } from 'node:net';
import { PluginError } from '../../src/smapi/errors.ts';

/** The TCP port of iSCSI (RFC 7143). */
export const iscsiPort = 3260;

/** Where an iSCSI target listens. */
export interface Portal {
  /** An IPv4 address, an IPv6 address without brackets (`%scope` allowed), or a host name. */
  readonly host: string;
  readonly port: number;
}

/**
 * Parses a comma separated list of portals: `10.0.0.1`, `10.0.0.1:3261`, `[2001:db8::1]:3261`,
 * `2001:db8::1`, `[fe80::1%eth1]`, `storage.example.com:3260`.
 *
 * IPv6 with a port needs brackets; without them all of it is the address. Spaces and empty items are
 * ignored, and a portal that is there twice is taken once.
 *
 * @param defaultPort the port of those that name none.
 * @throws PluginError `InvalidPortal` quoting the item, with an example.
 */
export function parsePortals(list: string, defaultPort = iscsiPort): readonly Portal[] {
  const portals = list
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
    .map((item) => parsePortal(item, defaultPort));
  return [...new Map(portals.map((portal) => [formatPortal(portal), portal])).values()];
}

/** Parses one portal as {@link parsePortals} does. */
export function parsePortal(text: string, defaultPort = iscsiPort): Portal {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) {
    const host = bracketed[1] ?? '';
    if (!isIPv6(host)) throw invalid(text, 'there is no IPv6 address between its brackets');
    return portal(text, host, bracketed[2], defaultPort);
  }
  if (looksLikeIPv6(text) && isIPv6(text)) return { host: normalised(text), port: defaultPort };
  const colons = text.split(':').length - 1;
  if (colons > 1)
    throw invalid(text, 'it is no IPv6 address, and an IPv6 address with a port needs brackets');
  const [host = '', port] = colons === 1 ? text.split(':') : [text];
  if (/^[0-9.]+$/.test(host) && !isIPv4(host)) throw invalid(text, 'its IPv4 address has no such form');
  if (!isIPv4(host) && !/^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?$/.test(host)) {
    throw invalid(text, 'it is neither an address nor a host name');
  }
  return portal(text, host, port, defaultPort);
}

function portal(text: string, host: string, port: string | undefined, defaultPort: number): Portal {
  return { host: normalised(host), port: port === undefined ? defaultPort : parsePort(port, text) };
}

/** Node's own test for IPv6 costs 5 ms when it is first used: too much for a host that has none. */
function looksLikeIPv6(text: string): boolean {
  return text.includes(':');
}

/** One spelling for each address, so that two spellings do not make two portals. */
function normalised(host: string): string {
  if (!looksLikeIPv6(host)) return host.toLowerCase();
  const [address = '', scope] = host.split('%');
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  return scope === undefined ? canonical : `${canonical}%${scope}`;
}

/**
 * Parses a TCP port.
 *
 * @param where what it is a part of, for the message.
 * @throws PluginError `InvalidPortal` when it is not a number from 1 to 65535.
 */
export function parsePort(text: string, where: string): number {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535) throw invalid(where, 'its port is not a number from 1 to 65535');
  return port;
}

/** Formats a portal as `10.0.0.1:3260` or `[2001:db8::1]:3260`. */
export function formatPortal({ host, port }: Portal): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Whether a portal's address is IPv6 link-local and says no scope: no host can tell which of its
 * networks is meant, so a connection to it can only hang or fail.
 */
export function isUnscopedLinkLocal({ host }: Portal): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(host) && !host.includes('%');
}

function invalid(text: string, why: string): PluginError {
  return new PluginError(
    'InvalidPortal',
    `The portal "${text.slice(0, 100)}" cannot be used: ${why}. Write for instance 10.0.0.1, 10.0.0.1:3260 or [2001:db8::1]:3260.`,
  );
}
