import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** What the C++ side reports, in the order of `Connection::Event`. */
export const REPORT = {
  connected: 0,
  loggedIn: 1,
  loginRefused: 2,
  text: 3,
  loggedOut: 4,
  command: 5,
  failed: 6,
} as const;

/**
 * Four values for each report, the last undefined when there are no bytes:
 * `connected | loggedIn | loggedOut, 0, '', empty`;
 * `loginRefused, status, '', text`; `text, 0, '', text`;
 * `command, id, SCSI status (or minus the iSCSI response), data or sense`;
 * `failed, errno, 'kind\nphrase', empty`.
 */
export type Reports = readonly (number | string | Uint8Array | undefined)[];

export interface NativeConnection {
  connect(address: Uint8Array, report: (reports: Reports) => void): number;
  sendTargets(): void;
  /** `request` is a LUN of eight bytes, then the command, of `length` bytes. */
  command(id: number, request: Uint8Array, length: number, expectedIn: number, dataOut: Uint8Array): boolean;
  abandon(id: number): void;
  flush(): void;
  logout(): boolean;
  destroy(): void;
}

interface Addon {
  Connection: new (
    initiator: Uint8Array,
    target: Uint8Array,
    isid: Uint8Array,
    headerDigest: number,
    user: Uint8Array,
    secret: Uint8Array,
    targetUser: Uint8Array,
    targetSecret: Uint8Array,
  ) => NativeConnection;
}

// Next to a bundle, built by itself, or built as part of a larger project.
const PLACES = ['.', '../build/Release', '../../build/Release'];

function load(): Addon {
  const given = process.env.ISCSI_INITIATOR_ADDON;
  const candidates = given
    ? [given]
    : PLACES.map((place) => join(import.meta.dirname, place, 'iscsi_initiator.node'));
  const path = candidates.find((candidate) => existsSync(candidate));
  if (path === undefined) {
    throw new Error(`node-iscsi-initiator is not built: no iscsi_initiator.node at ${candidates.join(', ')}`);
  }
  return createRequire(import.meta.url)(path) as Addon;
}

let loaded: Addon | undefined;

/** Loads the compiled part when it is first needed, so that importing the package costs nothing. */
export function addon(): Addon {
  loaded ??= load();
  return loaded;
}
