import { randomBytes } from 'node:crypto';
import { IscsiError, type IscsiStep } from './errors.ts';
import type { Portal } from './portal.ts';

/** A CHAP name and secret. Both go out as UTF-8, untouched: no quoting, trimming or cutting. */
export interface Chap {
  readonly user: string;
  readonly secret: string;
}

/** Where to log in, as whom, and for how long to wait. */
export interface ConnectionOptions {
  readonly portal: Portal;
  /** The name that we log in as; arrays grant access by it. At most 223 bytes (RFC 7143 section 4.2.7.1). */
  readonly initiatorName: string;
  /** We prove ourselves to the target. Offered, not demanded: a target without authentication is accepted. */
  readonly chap?: Chap;
  /** The target proves itself to us. Needs `chap`, with another secret. */
  readonly mutualChap?: Chap;
  /** `offer` leaves the choice to the target and prefers none; `crc32c` fails where the target has none. */
  readonly headerDigest?: 'none' | 'crc32c' | 'offer';
  /** Milliseconds for resolving, connecting and logging in together, and again for each command. Default 10,000. */
  readonly timeout?: number;
  /** Ends whatever is under way, and the session with it. */
  readonly signal?: AbortSignal;
}

export const DEFAULT_TIMEOUT = 10_000;

/** libiscsi keeps names and secrets in 255 bytes and would cut what is longer. */
const MAX_CHAP_BYTES = 255;
const MAX_NAME_BYTES = 223;

const bytes = (text: string) => Buffer.from(text, 'utf8');

function checkChap(chap: Chap | undefined, whose: string): string | undefined {
  if (chap === undefined) return undefined;
  for (const [what, value] of [
    ['name', chap.user],
    ['secret', chap.secret],
  ] as const) {
    if (value === '') return `the CHAP ${what} of ${whose} is empty`;
    if (value.includes('\0')) return `the CHAP ${what} of ${whose} contains a zero byte`;
    const length = bytes(value).length;
    if (length > MAX_CHAP_BYTES) {
      return `the CHAP ${what} of ${whose} has ${length} bytes, more than ${MAX_CHAP_BYTES}`;
    }
  }
  return undefined;
}

function checkName(name: string, whose: string): string | undefined {
  if (name === '') return `${whose} is empty`;
  if (bytes(name).length > MAX_NAME_BYTES) return `${whose} is longer than ${MAX_NAME_BYTES} bytes`;
  // Anything visible is let through: real targets serve names that the RFC does not allow.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u0020\u007f]/.test(name)) return `${whose} contains a blank or control character`;
  return undefined;
}

function problem(options: ConnectionOptions, target: string | undefined): string | undefined {
  const { portal, chap, mutualChap, timeout = DEFAULT_TIMEOUT } = options;
  if (portal.host === '' || /[\s[\]\0]/.test(portal.host))
    return 'the host of the portal is empty or malformed';
  if (!Number.isInteger(portal.port) || portal.port < 1 || portal.port > 65535) {
    return `${portal.port} is no port between 1 and 65535`;
  }
  if (!(timeout > 0 && timeout <= 0x7fffffff)) return 'the timeout is not a positive number of milliseconds';
  if (mutualChap !== undefined && chap === undefined) {
    return 'mutual CHAP needs a CHAP name and secret of the initiator as well';
  }
  if (mutualChap !== undefined && mutualChap.secret === chap?.secret) {
    return 'mutual CHAP needs different secrets for the two directions (RFC 7143 section 9.2.1)';
  }
  return (
    checkName(options.initiatorName, 'the initiator name') ??
    (target === undefined ? undefined : checkName(target, 'the target name')) ??
    checkChap(chap, 'the initiator') ??
    checkChap(mutualChap, 'the target')
  );
}

/** Raises an `invalid-argument` for what cannot be carried out, before anything is sent. */
export function checkOptions(options: ConnectionOptions, step: IscsiStep, target?: string): void {
  const cause = problem(options, target);
  if (cause !== undefined) {
    throw new IscsiError('invalid-argument', { step, portal: options.portal, target }, cause);
  }
}

/**
 * A fresh ISID of the random format (type 10b, RFC 7143 section 11.12.5): 40
 * random bits for each session. open-iscsi and so the kernel's sessions use the
 * OUI format (type 00b, 00:02:3d), so a login of ours never reinstates, and so
 * never ends, a session that the same host has under the same initiator name.
 */
export function randomIsid(): Uint8Array {
  const isid = randomBytes(6);
  isid[0] = 0x80;
  return isid;
}

// enum iscsi_header_digest
const DIGESTS = { none: 0, offer: 1, crc32c: 3 } as const;

/** The arguments of the native constructor, in its order. */
export function nativeArguments(options: ConnectionOptions, target: string | undefined) {
  const { chap, mutualChap, headerDigest = 'offer' } = options;
  return [
    bytes(options.initiatorName),
    bytes(target ?? ''),
    randomIsid(),
    DIGESTS[headerDigest],
    bytes(chap?.user ?? ''),
    bytes(chap?.secret ?? ''),
    bytes(mutualChap?.user ?? ''),
    bytes(mutualChap?.secret ?? ''),
  ] as const;
}
