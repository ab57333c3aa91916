/** Calls on volumes, and what they are to do. */
import type { CallName } from '../support/smapi.ts';
import { type Content, size, type Tree, type Volumes } from './tree.ts';

/** A call that has not been made. */
export interface Prepared {
  readonly call: CallName;
  readonly parameters: object;
  /** The volumes once it is done, from those that are now; a new one by any key. */
  result(): Volumes;
}

const part = 65_536;
const little = 4096;

/** By the name of its points: prepares the call once more, on volumes of its own. */
export const cases: Readonly<Record<string, (tree: Tree) => Promise<Prepared>>> = {
  create: async (tree) => ({
    call: 'Volume.create',
    parameters: { sr: tree.sr.uuid, name: 'new', description: '', size: BigInt(size), sharable: false },
    result: () => withNew(tree, Buffer.alloc(size)),
  }),
  async snapshot(tree) {
    const key = await written(tree);
    return {
      call: 'Volume.snapshot',
      parameters: { sr: tree.sr.uuid, key },
      result: () => withNew(tree, tree.content(key)),
    };
  },
  async clone(tree) {
    const key = await written(tree);
    return {
      call: 'Volume.clone',
      parameters: { sr: tree.sr.uuid, key },
      result: () => withNew(tree, tree.content(key)),
    };
  },
  async revert(tree) {
    const key = await written(tree);
    const snapshot = await tree.snapshot(key);
    await tree.fill(key, 2, 0, little);
    return {
      call: 'Volume.revert',
      parameters: { sr: tree.sr.uuid, snapshot, key },
      result: () => new Map([...tree.volumes, [key, tree.content(snapshot)]]),
    };
  },
  async destroy(tree) {
    const key = await withLoneParent(tree);
    return {
      call: 'Volume.destroy',
      parameters: { sr: tree.sr.uuid, key },
      result: () => without(tree, key),
    };
  },
  async data_destroy(tree) {
    const volume = await tree.create();
    await tree.enableCbt(volume);
    await tree.fill(volume, 3, 0, part);
    await tree.snapshot(volume);
    await tree.fill(volume, 4, part, part);
    const key = await tree.snapshot(volume);
    await tree.destroy(volume);
    return {
      call: 'Volume.data_destroy',
      parameters: { sr: tree.sr.uuid, key },
      result: () => new Map<string, Content>([...tree.volumes, [key, null]]),
    };
  },
  async resize(tree) {
    const key = await written(tree);
    return {
      call: 'Volume.resize',
      parameters: { sr: tree.sr.uuid, key, new_size: BigInt(2 * size) },
      result: () => new Map([...tree.volumes, [key, Buffer.concat([tree.content(key), Buffer.alloc(size)])]]),
    };
  },
  async copy(tree) {
    const key = await written(tree);
    return {
      call: 'Volume.copy',
      parameters: { sr: tree.sr.uuid, key, dest_sr: tree.sr.uuid },
      result: () => withNew(tree, tree.content(key)),
    };
  },
  async compose(tree) {
    const child = await withLoneParent(tree);
    const parent = await tree.create();
    await tree.fill(parent, 5, part, part);
    return {
      call: 'Volume.compose',
      parameters: { sr: tree.sr.uuid, key: child, key2: parent },
      result() {
        const composed = Buffer.from(tree.content(parent)).fill(2, 0, little);
        return new Map([...without(tree, parent), [child, composed]]);
      },
    };
  },
};

async function written(tree: Tree): Promise<string> {
  const key = await tree.create();
  await tree.fill(key, 1, 0, part);
  return key;
}

/** A volume of two images, with `little` bytes in its own one. */
async function withLoneParent(tree: Tree): Promise<string> {
  const key = await written(tree);
  const passing = await tree.snapshot(key);
  await tree.destroy(passing);
  await tree.fill(key, 2, 0, little);
  return key;
}

function withNew(tree: Tree, content: Content): Volumes {
  return new Map([...tree.volumes, ['new', content]]);
}

function without(tree: Tree, key: string): Volumes {
  return new Map([...tree.volumes].filter(([other]) => other !== key));
}
