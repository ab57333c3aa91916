import { isIPv6 } from 'node:net';

/** The port registered for iSCSI (RFC 7143 section 13.8). */
export const ISCSI_PORT = 3260;

/** Where a target listens. */
export interface Portal {
  /** IPv4 address, IPv6 address without brackets (a scope such as `%eth0` is allowed), or a name. */
  readonly host: string;
  readonly port: number;
}

/** `host:port`, with the brackets that an IPv6 address needs. */
export function formatPortal(portal: Portal): string {
  return portal.host.includes(':') ? `[${portal.host}]:${portal.port}` : `${portal.host}:${portal.port}`;
}

/** Whether the address says nothing without an interface: `fe80::/10` without a scope. */
export function isScopeless(host: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(host) && !host.includes('%') && isIPv6(host);
}

export interface TargetAddress extends Portal {
  /** Target portal group tag; 1 where the target names none. */
  readonly tpgt: number;
}

/**
 * Reads the value of a TargetAddress key: `host[:port][,tpgt]`, IPv6 in brackets
 * (RFC 7143 section 13.8). More than one colon without brackets is an IPv6
 * address that somebody forgot to bracket, never an address and a port.
 * Undefined when it is none of these.
 */
export function parseTargetAddress(text: string): TargetAddress | undefined {
  const match =
    /^(?:\[([^\]]+)\](?::(\d+))?|([^:,[\]]+)(?::(\d+))?|([^,[\]]*:[^,[\]]*:[^,[\]]*))(?:,(\d+))?$/.exec(
      text.trim(),
    );
  if (match === null) return undefined;
  const host = match[1] ?? match[3] ?? match[5] ?? '';
  const port = Number(match[2] ?? match[4] ?? ISCSI_PORT);
  const tpgt = Number(match[6] ?? 1);
  if (host.includes(':') && !isIPv6(host)) return undefined;
  if (/\s/.test(host) || port < 1 || port > 65535 || tpgt > 65535) return undefined;
  return { host, port, tpgt };
}
