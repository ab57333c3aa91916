/** What differs between SRs by where they are: everything else works on the SR's folder. */
import type { Health } from '../../src/smapi/interface.ts';
import type { Catalog, NewSr } from '../catalog/catalog.ts';
import type { AttachedSr } from '../sr/attached.ts';

/** A device-config. */
export type Configuration = Readonly<Record<string, string>>;

/** Bytes of an SR's filesystem. */
export interface Space {
  readonly free: bigint;
  readonly total: bigint;
}

/** How the storage below an SR is, as far as can be told without touching it. */
export interface StorageHealth {
  readonly health: Health;
  /** Whether the SR's folder answers. */
  readonly usable: boolean;
  /** Sizes when they were last seen. */
  readonly space: Space;
}

/** A kind of place for SRs. */
export interface Provider {
  /** Whether several hosts use one SR at once. */
  readonly clustered: boolean;
  /** Makes an empty SR; answers the device-config that finds it again. */
  create(configuration: Configuration, identity: NewSr): Promise<Configuration>;
  /** Brings the SR `uuid` to this host, where it may be already. */
  attach(configuration: Configuration, uuid: string): Promise<AttachedSr>;
  /** Lets go of an SR on this host, unless a disk runs on it here. */
  detach(sr: AttachedSr): Promise<void>;
  /** Destroys an SR with its volumes, unless a disk runs on it; goes on where an earlier call died. */
  destroy(sr: AttachedSr): Promise<void>;
  /** The room of the SR's filesystem; throws where nothing can be written to it. */
  space(sr: AttachedSr): Space;
  /** How the storage below the SR is; absent where there is nothing to tell. Never waits for the storage. */
  health?(sr: AttachedSr): Promise<StorageHealth>;
  /**
   * Told of the SR's new name or description, under the exclusive lock of its catalog, to copy them where a
   * probe finds them.
   *
   * @param catalog with the new identity.
   */
  renamed?(sr: AttachedSr, catalog: Catalog): Promise<void>;
}

/** The code of a provider. */
export async function loadProvider(name: 'path' | 'iscsi'): Promise<Provider> {
  if (name === 'path') return (await import('./path.ts')).pathProvider;
  return (await import('./iscsi/index.ts')).iscsiProvider;
}

/**
 * Whether only this host has the SR's images, so that looking at them disturbs nobody. On a cluster
 * filesystem a mere stat(2) makes the host that writes an image flush it.
 */
export function imagesAreLocal(sr: AttachedSr): boolean {
  return sr.provider === 'path';
}
