import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { Connection } from './connection.ts';
import { IscsiError } from './errors.ts';
import { type ConnectionOptions, checkOptions, DEFAULT_TIMEOUT } from './options.ts';
import { formatPortal, type Portal, parseTargetAddress } from './portal.ts';
import { textPairs } from './text.ts';

/** More than any array needs to spread its sessions. */
const MAX_REDIRECTS = 4;

export interface Login {
  readonly connection: Connection;
  readonly target: string | undefined;
  readonly redirects: readonly Portal[];
}

/** Every address of a portal, or the error that its name has none. */
async function addresses(
  portal: Portal,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  if (isIP(portal.host) !== 0) return [portal.host];
  const context = { step: 'resolve', portal } as const;
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(new IscsiError('aborted', context, 'aborted by the caller'));
  const timer = setTimeout(() => {
    reject(new IscsiError('timeout', context, 'no name server answered in time'));
  }, timeout);
  signal?.addEventListener('abort', abort);
  if (signal?.aborted) abort();
  try {
    const found = await Promise.race([promise, lookup(portal.host, { all: true })]);
    return found.map(({ address }) => address);
  } catch (error) {
    if (error instanceof IscsiError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new IscsiError('hostname', context, `the name does not resolve (${code})`);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

/** Whether another address of the same name may do better. */
const isAboutAddress = (error: IscsiError) =>
  error.step === 'connect' && ['refused', 'unreachable', 'timeout', 'invalid-argument'].includes(error.kind);

async function openPortal(
  options: ConnectionOptions,
  portal: Portal,
  target: string | undefined,
  deadline: number,
): Promise<{ connection: Connection; redirect: Uint8Array | undefined }> {
  const left = () => Math.max(1, deadline - performance.now());
  const all = await addresses(portal, left(), options.signal);
  let failure: unknown;
  for (const [index, address] of all.entries()) {
    const connection = new Connection(options, portal, target);
    try {
      // One dead address must leave time for the next.
      const { redirect } = await connection.open(address, left() / (all.length - index));
      return { connection, redirect };
    } catch (error) {
      failure = error;
      if (!(error instanceof IscsiError) || !isAboutAddress(error)) break;
    }
  }
  throw failure;
}

/**
 * Logs in, following redirections (RFC 7143 section 11.13.5, status class 1) to
 * at most four other portals and never to the same one twice. The target's name
 * stays the same unless the answer gives another.
 */
export async function establish(options: ConnectionOptions, target: string | undefined): Promise<Login> {
  const { portal, timeout = DEFAULT_TIMEOUT } = options;
  checkOptions(options, 'login', target);
  const deadline = performance.now() + timeout;
  const redirects: Portal[] = [];
  const visited = new Set<string>();
  let [here, name] = [portal, target];
  for (;;) {
    visited.add(formatPortal(here));
    const { connection, redirect } = await openPortal(options, here, name, deadline);
    if (redirect === undefined) return { connection, target: name, redirects };

    const context = { step: 'login', portal: here, target: name } as const;
    const pairs = textPairs(redirect);
    const text = pairs?.find(([key]) => key === 'TargetAddress')?.[1];
    const next = text === undefined ? undefined : parseTargetAddress(text);
    if (next === undefined) {
      throw new IscsiError('protocol', context, 'the target redirects us without a usable address');
    }
    here = { host: next.host, port: next.port };
    if (name !== undefined) name = pairs?.find(([key]) => key === 'TargetName')?.[1] ?? name;
    redirects.push(here);
    const path = [portal, ...redirects].map(formatPortal).join(' to ');
    if (visited.has(formatPortal(here))) {
      throw new IscsiError('redirect-loop', context, `the target redirects in a circle, from ${path}`);
    }
    if (redirects.length > MAX_REDIRECTS) {
      throw new IscsiError('redirect-loop', context, `more than ${MAX_REDIRECTS} redirections, from ${path}`);
    }
  }
}
