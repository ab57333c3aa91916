/** Volumes and what is in them, as it must be. */
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import type { Host } from '../support/host.ts';
import type { Volume } from '../support/smapi.ts';
import type { Sr } from '../support/sr.ts';

/** Bytes of a new volume. */
export const size = 1_048_576;

/** The data of a volume; null where it has none any more. */
export type Content = Buffer | null;

/** Volumes by key; those whose keys are not known yet by anything else. */
export type Volumes = ReadonlyMap<string, Content>;

/** The volumes of an SR that is used by two hosts, one of which dies. */
export class Tree {
  readonly sr: Sr;
  readonly #dying: Host;
  readonly #next: Host;
  #volumes: Volumes = new Map();

  constructor(sr: Sr, dying: Host, next: Host) {
    this.sr = sr;
    this.#dying = dying;
    this.#next = next;
  }

  /** As they must be now. */
  get volumes(): Volumes {
    return this.#volumes;
  }

  content(key: string): Buffer {
    const found = this.#volumes.get(key);
    assert(found != null, `no volume ${key} with data`);
    return found;
  }

  async create(): Promise<string> {
    const { key } = await this.#dying.call('Volume.create', {
      sr: this.sr.uuid,
      name: 'of scenario k',
      description: '',
      size: BigInt(size),
      sharable: false,
    });
    this.#set(key, Buffer.alloc(size));
    return key;
  }

  async snapshot(key: string): Promise<string> {
    return await this.#branch('Volume.snapshot', key);
  }

  async clone(key: string): Promise<string> {
    return await this.#branch('Volume.clone', key);
  }

  async destroy(key: string): Promise<void> {
    await this.#dying.call('Volume.destroy', { sr: this.sr.uuid, key });
    this.#volumes = new Map([...this.#volumes].filter(([other]) => other !== key));
  }

  async enableCbt(key: string): Promise<void> {
    await this.#dying.call('Volume.enable_cbt', { sr: this.sr.uuid, key });
  }

  /** Fills a part of a volume whose disk does not run. */
  async fill(key: string, byte: number, offset: number, length: number): Promise<void> {
    const { format, path } = imageOf(await this.#dying.call('Volume.stat', { sr: this.sr.uuid, key }));
    const write = `write -P ${byte} ${offset} ${length}`;
    await this.#dying.exec(['qemu-io', '-f', format, '-c', write, '-c', 'flush', path]);
    this.#set(key, Buffer.from(this.content(key)).fill(byte, offset, offset + length));
  }

  /** Checks, on the host that comes next, that there are these volumes, and takes over their keys. */
  async expect(volumes: Volumes): Promise<void> {
    const listed = await this.#next.call('SR.ls', { sr: this.sr.uuid });
    const found = await this.#digests(listed);
    const wanted = [...volumes.values()].map(digestOf);
    assert.deepEqual([...found.values()].sort(), [...wanted].sort(), 'what the volumes hold');
    const known = new Map<string, Content>();
    const rest = [...volumes];
    for (const [key, digest] of [...found].sort(
      ([one], [other]) => Number(volumes.has(other)) - Number(volumes.has(one)),
    )) {
      const own = rest.findIndex(([other, content]) => other === key && digestOf(content) === digest);
      const index = own >= 0 ? own : rest.findIndex(([, content]) => digestOf(content) === digest);
      const [taken] = rest.splice(index, 1);
      assert(taken !== undefined);
      known.set(key, taken[1]);
    }
    this.#volumes = known;
  }

  /** How many image files there are. */
  async files(): Promise<number> {
    return (
      (await this.#next.sh('ls "$1/images"', [this.#next.mountPoint(this.sr.uuid)])).split('\n').length - 1
    );
  }

  /** Destroys all, after which no image is left. */
  async clear(): Promise<void> {
    for (const key of this.#volumes.keys())
      await this.#next.call('Volume.destroy', { sr: this.sr.uuid, key });
    assert.equal(await this.files(), 0, 'image files');
    this.#volumes = new Map();
  }

  async #branch(call: 'Volume.snapshot' | 'Volume.clone', key: string): Promise<string> {
    const made = await this.#dying.call(call, { sr: this.sr.uuid, key });
    this.#set(made.key, Buffer.from(this.content(key)));
    return made.key;
  }

  #set(key: string, content: Content): void {
    this.#volumes = new Map([...this.#volumes, [key, content]]);
  }

  async #digests(volumes: readonly Volume[]): Promise<ReadonlyMap<string, string>> {
    const withData = volumes.filter(({ uri }) => uri.length > 0);
    const said = await this.#next.sh(
      't=$(mktemp); trap \'rm "$t"\' EXIT; while [ $# -gt 0 ]; do qemu-img convert -f "$1" -O raw "$2" "$t"; sha256sum <"$t"; shift 2; done',
      withData.flatMap((volume) => {
        const { format, path } = imageOf(volume);
        return [format, path];
      }),
    );
    const digests = said.split('\n').map((line) => line.slice(0, 64));
    return new Map([
      ...volumes.filter(({ uri }) => uri.length === 0).map(({ key }) => [key, digestOf(null)] as const),
      ...withData.map(({ key }, index) => [key, digests[index] ?? ''] as const),
    ]);
  }
}

function digestOf(content: Content): string {
  return content === null ? 'no data' : createHash('sha256').update(content).digest('hex');
}

function imageOf({ key, uri: [uri] }: Volume): { readonly format: string; readonly path: string } {
  const parts = /^(raw|qcow2)\+file:\/\/(\/.*)$/.exec(uri ?? '');
  assert(parts !== null, `the volume ${key} has the uri ${uri}`);
  return { format: parts[1] ?? '', path: decodeURIComponent(parts[2] ?? '') };
}
