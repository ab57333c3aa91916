/** What differs between SRs by where they are: everything else works on the SR's folder. */
import { PluginError } from '../../src/smapi/errors.ts';
import type { SrIdentity } from '../catalog/catalog.ts';
import type { AttachedSr } from '../sr/attached.ts';

/** A device-config. */
export type Configuration = Readonly<Record<string, string>>;

/** Bytes of an SR's filesystem. */
export interface Space {
  readonly free: bigint;
  readonly total: bigint;
}

/** A kind of place for SRs. */
export interface Provider {
  /** Whether several hosts use one SR at once. */
  readonly clustered: boolean;
  /** Makes an empty SR; answers the device-config that finds it again. */
  create(configuration: Configuration, identity: SrIdentity): Promise<Configuration>;
  /** Brings the SR `uuid` to this host, where it may be already. */
  attach(configuration: Configuration, uuid: string): Promise<AttachedSr>;
  /** Lets go of an SR on this host, unless a disk runs on it here. */
  detach(sr: AttachedSr): Promise<void>;
  /** Destroys an SR with its volumes, unless a disk runs on it; goes on where an earlier call died. */
  destroy(sr: AttachedSr): Promise<void>;
  /** The room of the SR's filesystem; throws where nothing can be written to it. */
  space(sr: AttachedSr): Space;
}

/**
 * The code of a provider.
 *
 * @throws PluginError `NotSupported`.
 */
export async function loadProvider(name: 'path' | 'iscsi'): Promise<Provider> {
  if (name === 'path') return (await import('./path.ts')).pathProvider;
  throw new PluginError(
    'NotSupported',
    'This version of the plugin only probes iSCSI LUNs; it can create and attach an SR only with provider=path.',
  );
}

/**
 * Whether only this host has the SR's images, so that looking at them disturbs nobody. On a cluster
 * filesystem a mere stat(2) makes the host that writes an image flush it.
 */
export function imagesAreLocal(sr: AttachedSr): boolean {
  return sr.provider === 'path';
}
