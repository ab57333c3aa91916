/**
 * What xapi's storage daemon makes of a volume plugin: which calls, in which order, for each thing that xapi asks
 * of it (xen-api, ocaml/xapi-storage-script/main.ml).
 */
import type { Volume } from '../../src/smapi/interface.ts';
import type { VolumeHost } from './volume-host.ts';

/** A disk as xapi sees it. */
export interface Vdi {
  readonly key: string;
  readonly name: string;
  readonly type: string;
  readonly readOnly: boolean;
  readonly size: bigint;
  readonly isSnapshot: boolean;
  readonly snapshotOf: string;
  readonly snapshotTime: string;
  readonly cbtEnabled: boolean;
}

function toVdi({ key, name, keys, read_write, virtual_size, cbt_enabled = false }: Volume): Vdi {
  const isSnapshot = keys.is_a_snapshot ?? 'false';
  // bool_of_string: anything else is an exception, and no disk of the SR is seen.
  if (!['true', 'false'].includes(isSnapshot)) throw new Error(`is_a_snapshot=${isSnapshot}`);
  return {
    key,
    name,
    type: keys['vdi-type'] ?? '',
    readOnly: !read_write,
    size: virtual_size,
    isSnapshot: isSnapshot === 'true',
    snapshotOf: keys.snapshot_of ?? '',
    snapshotTime: keys.snapshot_time ?? '19700101T00:00:00Z',
    cbtEnabled: cbt_enabled,
  };
}

/** xapi-storage-script, attached to the SR of a host. */
export class StorageScript {
  readonly #host: VolumeHost;

  constructor(host: VolumeHost) {
    this.#host = host;
  }

  async create(name: string, type: string, size: bigint, sharable = false): Promise<Vdi> {
    const sr = this.#host.uuid;
    const made = await this.#host.call('Volume.create', { sr, name, description: '', size, sharable });
    if (type !== '') await this.#set(made.key, 'vdi-type', type);
    return toVdi({ ...made, keys: { ...made.keys, ...(type === '' ? {} : { 'vdi-type': type }) } });
  }

  /** One snapshot, and five keys: some versions set no type and no content, and that is when ours counts. */
  async snapshot(key: string, { type, contentId }: { type?: string; contentId?: string } = {}): Promise<Vdi> {
    const sr = this.#host.uuid;
    const made = await this.#host.call('Volume.snapshot', { sr, key });
    const time = '20261125T06:00:00Z';
    await this.#set(made.key, 'snapshot_time', time);
    await this.#set(made.key, 'is_a_snapshot', 'true');
    await this.#set(made.key, 'snapshot_of', key);
    if (contentId !== undefined) await this.#set(made.key, 'content_id', contentId);
    if (type !== undefined) await this.#set(made.key, 'vdi-type', type);
    return { ...toVdi(made), isSnapshot: true, snapshotOf: key, snapshotTime: time };
  }

  async clone(key: string): Promise<Vdi> {
    return toVdi(await this.#host.call('Volume.clone', { sr: this.#host.uuid, key }));
  }

  /** A disk that runs on a clone is destroyed twice. */
  async destroy(key: string): Promise<void> {
    const { keys } = await this.#stat(key);
    if (keys['clone-on-boot'] !== undefined) await this.#destroyVolume(key);
    await this.#destroyVolume(key);
  }

  async resize(key: string, size: bigint): Promise<bigint> {
    await this.#host.call('Volume.resize', { sr: this.#host.uuid, key, new_size: size });
    return (await this.#stat(key)).virtual_size;
  }

  /** SR.stat, which must be healthy, and SR.ls without the volumes that others run on. */
  async scan(): Promise<readonly Vdi[]> {
    const sr = this.#host.uuid;
    const { health } = await this.#host.call('SR.stat', { sr });
    if (health[0] !== 'Healthy') throw new Error(`Sr_unhealthy: ${health[0]}`);
    const volumes = await this.#host.call('SR.ls', { sr });
    const temporary = new Set(volumes.flatMap(({ keys }) => keys['clone-on-boot'] ?? []));
    return volumes.filter(({ key }) => !temporary.has(key)).map(toVdi);
  }

  /** A VM starts whose disk is to be as it was each time. */
  async beginEpoch(key: string): Promise<void> {
    const { keys } = await this.#stat(key);
    const left = keys['clone-on-boot'];
    if (left !== undefined) await this.#destroyVolume(left);
    const clone = await this.#host.call('Volume.clone', { sr: this.#host.uuid, key });
    await this.#set(key, 'clone-on-boot', clone.key);
  }

  /** The volume that a datapath is asked for. */
  async runningVolume(key: string): Promise<Volume> {
    const volume = await this.#stat(key);
    const temporary = volume.keys['clone-on-boot'];
    return temporary === undefined ? volume : await this.#stat(temporary);
  }

  /** That VM ends. */
  async endEpoch(key: string): Promise<void> {
    const { keys } = await this.#stat(key);
    const temporary = keys['clone-on-boot'];
    if (temporary === undefined) return;
    await this.#destroyVolume(temporary);
    await this.#host.call('Volume.unset', { sr: this.#host.uuid, key, k: 'clone-on-boot' });
  }

  async enableCbt(key: string): Promise<void> {
    await this.#host.call('Volume.enable_cbt', { sr: this.#host.uuid, key });
  }

  /** The bitmap alone, of all blocks: whoever reads it takes them for 64 KiB each. */
  async listChangedBlocks(from: string, to: string): Promise<string> {
    const parameters = { sr: this.#host.uuid, key: from, key2: to, offset: 0n, length: -1 };
    return (await this.#host.call('Volume.list_changed_blocks', parameters)).bitmap;
  }

  /** The type is set after the call, as if the plugin did not know it. */
  async dataDestroy(key: string): Promise<void> {
    await this.#host.call('Volume.data_destroy', { sr: this.#host.uuid, key });
    await this.#set(key, 'vdi-type', 'cbt_metadata');
  }

  async #stat(key: string): Promise<Volume> {
    return await this.#host.call('Volume.stat', { sr: this.#host.uuid, key });
  }

  async #set(key: string, k: string, v: string): Promise<void> {
    await this.#host.call('Volume.set', { sr: this.#host.uuid, key, k, v });
  }

  async #destroyVolume(key: string): Promise<void> {
    await this.#host.call('Volume.destroy', { sr: this.#host.uuid, key });
  }
}
