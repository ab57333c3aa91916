/** The device-config of an SR: its keys, their help texts, and what they say once they are checked. */
import { PluginError } from '../src/smapi/errors.ts';
import { type ImageFormat, imageFormats } from './catalog/schema.ts';
import { iscsiPort, type Portal, parsePort, parsePortals } from './iscsi/portal.ts';

/** A user and a secret for CHAP. */
export interface Chap {
  readonly user: string;
  readonly secret: string;
}

/** An SR on a LUN of an iSCSI target. */
export interface IscsiConfig {
  readonly provider: 'iscsi';
  /** At least one. */
  readonly portals: readonly Portal[];
  /** Names of targets, as given; empty where none was given. */
  readonly iqns: readonly string[];
  /** The LUN's SCSI id, as udev forms it. */
  readonly scsiId?: string;
  /** How we prove ourselves to the target. */
  readonly chap?: Chap;
  /** How the target proves itself to us. */
  readonly mutualChap?: Chap;
}

/** An SR in a directory of this host, for demonstration and development. */
export interface PathConfig {
  readonly provider: 'path';
  /** Absolute. */
  readonly path: string;
}

/** What a device-config says. */
export type DeviceConfig = IscsiConfig | PathConfig;

/** Names that sm's iSCSI drivers and their clients use, and ours. */
const aliases = { target: 'ips', targetIQN: 'iqns', SCSIid: 'ScsiId' } as const;

type Configuration = Readonly<Record<string, string>>;

/** More than any array has, and few enough to ask all at once. */
const maxPortals = 64;
const maxTargets = 256;

/** A key that has two names. */
export type AliasedKey = 'ips' | 'iqns' | 'ScsiId';

/**
 * Reads a device-config.
 *
 * Keys that it does not know are ignored; empty values are as good as absent.
 *
 * @throws PluginError `InvalidConfiguration` or `InvalidPortal` naming the key and what to write.
 */
export function parseDeviceConfig(configuration: Configuration): DeviceConfig {
  const provider = given(configuration, 'provider')?.trim() ?? 'iscsi';
  if (provider === 'iscsi') return parseIscsi(configuration);
  if (provider === 'path') return parsePath(configuration);
  throw invalid(`provider is "${provider}"; write iscsi, or path for a directory of this host`);
}

/** The format of the images of new volumes where the device-config names none. */
const defaultImageFormat: ImageFormat = 'qcow2';

/**
 * The format of images that a device-config asks for.
 *
 * @throws PluginError `InvalidConfiguration`.
 */
export function parseImageFormat(configuration: Configuration): ImageFormat {
  const name = given(configuration, 'image-format')?.trim().toLowerCase() ?? defaultImageFormat;
  const format = imageFormats.find((known) => known === name);
  if (format !== undefined) return format;
  throw invalid(`image-format is "${name.slice(0, 60)}"; write ${imageFormats.join(' or ')}`);
}

/**
 * Forms a device-config that says more than `configuration` did. Everything that was there stays; a key
 * with two names is written under the names that the caller has used, so that a client finds what it
 * knows.
 */
export function extendDeviceConfig(
  configuration: Configuration,
  values: Readonly<Partial<Record<AliasedKey, string>>> & Configuration,
): Configuration {
  const usesAliases = Object.keys(aliases).some((alias) => alias in configuration);
  const extended: Record<string, string> = { ...configuration };
  for (const [key, value] of Object.entries(values)) {
    const alias = Object.entries(aliases).find(([, name]) => name === key)?.[0];
    if (alias === undefined) {
      extended[key] = value;
      continue;
    }
    const names = [alias, key].filter((name) => name in configuration);
    for (const name of names.length > 0 ? names : [usesAliases ? alias : key]) extended[name] = value;
  }
  return extended;
}

function parsePath(configuration: Configuration): PathConfig {
  const path = given(configuration, 'path');
  if (path === undefined || !path.startsWith('/') || path.includes('\0')) {
    throw invalid('path must be the absolute path of a directory, such as /srv/sr');
  }
  return { provider: 'path', path };
}

function parseIscsi(configuration: Configuration): IscsiConfig {
  const port = given(configuration, 'port')?.trim();
  const portals = parsePortals(
    given(configuration, 'ips') ?? '',
    port === undefined ? iscsiPort : parsePort(port, `port=${port}`),
  );
  if (portals.length === 0) {
    throw invalid('ips is missing; write the address of an iSCSI portal there, such as 10.0.0.1');
  }
  if (portals.length > maxPortals) {
    throw invalid(`ips names ${portals.length} portals, more than ${maxPortals}; give fewer`);
  }
  const iqns = (given(configuration, 'iqns') ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (iqns.length > maxTargets) {
    throw invalid(`iqns names ${iqns.length} targets, more than ${maxTargets}; give fewer`);
  }
  for (const name of iqns) {
    if (/[\s\p{Cc}]/u.test(name) || Buffer.byteLength(name) > 223) {
      throw invalid(
        `iqns has "${name.slice(0, 60)}", which cannot be the name of a target: names have no spaces and at most 223 bytes`,
      );
    }
  }
  const scsiId = given(configuration, 'ScsiId')?.trim().replaceAll(/\s+/g, '_');
  const chap = parseChap(configuration, 'chapuser', 'chappassword');
  const mutualChap = parseChap(configuration, 'incoming_chapuser', 'incoming_chappassword');
  if (mutualChap !== undefined && chap === undefined) {
    throw invalid('incoming_chapuser needs chapuser and chappassword too: mutual CHAP has both directions');
  }
  if (mutualChap !== undefined && mutualChap.secret === chap?.secret) {
    throw invalid(
      'chappassword and incoming_chappassword are the same; CHAP forbids one secret for both directions, so set another one on the target',
    );
  }
  return {
    provider: 'iscsi',
    portals,
    iqns: [...new Map(iqns.map((name) => [name.toLowerCase(), name])).values()],
    ...(scsiId === undefined ? {} : { scsiId }),
    ...(chap === undefined ? {} : { chap }),
    ...(mutualChap === undefined ? {} : { mutualChap }),
  };
}

function parseChap(configuration: Configuration, userKey: string, secretKey: string): Chap | undefined {
  const user = given(configuration, userKey);
  const secret = given(configuration, secretKey);
  if (user === undefined && secret === undefined) return undefined;
  if (user === undefined) throw invalid(`${secretKey} is given without ${userKey}; give both, or none`);
  if (secret === undefined) throw invalid(`${userKey} is given without ${secretKey}; give both, or none`);
  for (const [key, value] of [
    [userKey, user],
    [secretKey, secret],
  ] as const) {
    if (Buffer.byteLength(value) > 255 || value.includes('\0')) {
      throw invalid(
        `${key} must have at most 255 bytes and no NUL (targets usually want 12 to 16 characters)`,
      );
    }
  }
  return { user, secret };
}

/** The value of a key under either of its names; empty is absent. */
function given(configuration: Configuration, key: string): string | undefined {
  const names = [key, ...Object.entries(aliases).flatMap(([alias, name]) => (name === key ? [alias] : []))];
  const values = new Map(
    names.flatMap((name) => {
      const value = Object.hasOwn(configuration, name) ? configuration[name] : undefined;
      return value === undefined || value.trim() === '' ? [] : [[name, value] as const];
    }),
  );
  const [first, second] = [...values.values()];
  if (second !== undefined && first !== second) {
    throw invalid(`${names.join(' and ')} are two names for one thing but differ; give one of them`);
  }
  return first;
}

function invalid(what: string): PluginError {
  return new PluginError('InvalidConfiguration', `The device-config cannot be used: ${what}.`);
}
