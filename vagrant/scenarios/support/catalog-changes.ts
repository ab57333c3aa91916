/** Changes of an SR's catalog that a host is asked for until it loses its power, and what must be true afterwards. */
import { strict as assert } from 'node:assert';
import type { Host } from './host.ts';
import { CallFailed, type Volume } from './smapi.ts';
import type { Sr } from './sr.ts';

/** What a host was asked for. */
export interface Changes {
  /** How many changes it has acknowledged. */
  readonly calls: number;
  /** Volumes that were made and not destroyed, by their keys, and what was stored with them. */
  readonly made: ReadonlyMap<
    string,
    { readonly name: string; readonly keys: Readonly<Record<string, string>> }
  >;
  /** Keys of volumes that were destroyed. */
  readonly destroyed: ReadonlySet<string>;
  /** The call that was under way when the power went: it may have happened or not. */
  readonly open: Open | undefined;
  /** Calls that the plugin answered with an error. */
  readonly failures: readonly string[];
}

type Open =
  | { readonly call: 'create'; readonly name: string }
  | { readonly call: 'destroy'; readonly key: string }
  | { readonly call: 'set'; readonly key: string; readonly k: string; readonly v: string };

/** How many volumes it has at once. */
const limit = 4;

/** Makes, marks and destroys volumes, one after the other, until a call is lost with its host or the signal comes. */
export async function changeCatalog(host: Host, { uuid: sr }: Sr, signal: AbortSignal): Promise<Changes> {
  const made = new Map<string, { name: string; keys: Record<string, string> }>();
  const destroyed = new Set<string>();
  const failures: string[] = [];
  let calls = 0;
  let open: Open | undefined;
  try {
    for (let round = 0; !signal.aborted; round += 1) {
      try {
        const [oldest = ''] = made.keys();
        if (made.size >= limit) {
          open = { call: 'destroy', key: oldest };
          await host.call('Volume.destroy', { sr, key: oldest });
          made.delete(oldest);
          destroyed.add(oldest);
        } else if (round % 2 === 1 && made.size > 0) {
          const key = [...made.keys()].at(-1) ?? '';
          open = { call: 'set', key, k: 'round', v: String(round) };
          await host.call('Volume.set', { sr, key, k: open.k, v: open.v });
          made.set(key, { name: made.get(key)?.name ?? '', keys: { [open.k]: open.v } });
        } else {
          open = { call: 'create', name: `${host.name} made ${round}` };
          const { name } = open;
          const { key } = await host.call('Volume.create', {
            ...{ sr, name, description: '' },
            ...{ size: 1_048_576n, sharable: false },
          });
          made.set(key, { name, keys: {} });
        }
        calls += 1;
        open = undefined;
      } catch (error) {
        if (!(error instanceof CallFailed)) throw error;
        failures.push(error.message);
        open = undefined;
      }
    }
  } catch {
    // Its host has lost its power, and the way to it.
  }
  return { calls, made, destroyed, open, failures };
}

/**
 * Compares volumes that a host lists with what was acknowledged.
 *
 * @param others keys of volumes that are there besides.
 */
export function checkChanges(
  listed: readonly Volume[],
  changes: readonly Changes[],
  others: readonly string[],
): void {
  const open = changes.flatMap((each) => (each.open === undefined ? [] : [each.open]));
  const byKey = new Map(listed.map((volume) => [volume.key, volume]));
  for (const { made, destroyed } of changes) {
    for (const [key, { name, keys }] of made) {
      const volume = byKey.get(key);
      const isOpen = open.filter((each) => each.call !== 'create' && each.key === key);
      if (volume === undefined) {
        assert(
          isOpen.some(({ call }) => call === 'destroy'),
          `${name} (${key}) is lost`,
        );
        continue;
      }
      const possible = [
        keys,
        ...isOpen.flatMap((each) => (each.call === 'set' ? [{ ...keys, [each.k]: each.v }] : [])),
      ];
      assert(
        volume.name === name && possible.some((each) => isSame(each, volume.keys)),
        `${key} is ${volume.name} ${JSON.stringify(volume.keys)}, not ${name} ${JSON.stringify(keys)}`,
      );
    }
    for (const key of destroyed) assert(!byKey.has(key), `${key} was destroyed, and is back`);
  }
  const known = new Set([...others, ...changes.flatMap(({ made }) => [...made.keys()])]);
  for (const { key, name } of listed) {
    const half = open.some((each) => each.call === 'create' && each.name === name);
    assert(known.has(key) || half, `nobody was told of ${name} (${key})`);
  }
  for (const key of others) assert(byKey.has(key), `${key} is lost`);
}

function isSame(one: Readonly<Record<string, string>>, other: Readonly<Record<string, string>>): boolean {
  return JSON.stringify(Object.entries(one).sort()) === JSON.stringify(Object.entries(other).sort());
}
