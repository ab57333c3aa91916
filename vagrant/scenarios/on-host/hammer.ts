/**
 * `hammer.ts <ORDER >REPORT`: makes calls on an SR as fast as they are answered, by several workers, each
 * with volumes of its own and some that it shares with all, and compares each answer with what it knows.
 */
import { spawn } from 'node:child_process';
import { json, text } from 'node:stream/consumers';

const plugin = '/usr/libexec/xapi-storage-script/volume/org.xen.xapi.storage.gfs2';
/** Volumes that a worker has at once. */
const ownLimit = 3;

/** What to do. */
export interface HammerOrder {
  readonly sr: string;
  /** Begins the names of what this host makes. */
  readonly host: string;
  readonly workers: number;
  readonly seconds: number;
  /** Keys of volumes that all hosts change. */
  readonly shared: readonly string[];
}

/** A volume as far as it is known. */
export interface KnownVolume {
  readonly key: string;
  readonly name: string;
  readonly keys: Readonly<Record<string, string>>;
}

/** What was acknowledged, and how. */
export interface HammerReport {
  /** Volumes that must be there, exactly like this. */
  readonly volumes: readonly KnownVolume[];
  /** Keys of volumes that must not be there. */
  readonly destroyed: readonly string[];
  /** What was stored with shared volumes, by their keys, and the last name that each worker gave them. */
  readonly shared: readonly {
    readonly key: string;
    readonly keys: Readonly<Record<string, string>>;
    readonly names: readonly string[];
  }[];
  /** How long each call that succeeded took, in milliseconds. */
  readonly calls: readonly { readonly call: string; readonly milliseconds: number }[];
  /** Calls that failed, and answers that were wrong. */
  readonly failures: readonly string[];
}

interface Mutable {
  key: string;
  name: string;
  keys: Record<string, string>;
}

const order = (await json(process.stdin)) as HammerOrder;
const calls: { call: string; milliseconds: number }[] = [];
const failures: string[] = [];
const end = performance.now() + order.seconds * 1000;
const workers = await Promise.all(
  Array.from({ length: order.workers }, (_, index) => work(`${order.host}-${index + 1}`)),
);
const report: HammerReport = {
  volumes: workers.flatMap(({ volumes }) => volumes),
  destroyed: workers.flatMap(({ destroyed }) => destroyed),
  shared: order.shared.map((key) => ({
    key,
    keys: Object.assign({}, ...workers.map(({ shared }) => shared.get(key)?.keys)) as Record<string, string>,
    names: workers.flatMap(({ shared }) => shared.get(key)?.name ?? []),
  })),
  calls,
  failures,
};
process.stdout.write(`${JSON.stringify(report)}\n`);

async function work(me: string) {
  let count = 0;
  const volumes: Mutable[] = [];
  const destroyed: string[] = [];
  const shared = new Map<string, { keys: Record<string, string>; name?: string }>();
  const seen = new Map<string, number>();
  const wrong = (what: string): void => {
    failures.push(`${me}: ${what}`);
  };

  async function create(): Promise<void> {
    const name = `${me} made ${count}`;
    const made = (await call('Volume.create', {
      name,
      description: me,
      size: 1024 * 1024,
      sharable: false,
    })) as KnownVolume;
    volumes.push({ key: made.key, name, keys: {} });
  }
  async function destroy(): Promise<void> {
    const { key } = volumes[0] as Mutable;
    await call('Volume.destroy', { key });
    volumes.shift();
    destroyed.push(key);
  }
  async function set(): Promise<void> {
    const volume = pick(volumes);
    const [k, v] = [`key ${count % 3}`, `${me} ${count}`];
    await call('Volume.set', { key: volume.key, k, v });
    volume.keys[k] = v;
  }
  async function setName(): Promise<void> {
    const volume = pick(volumes);
    const name = `${me} named ${count}`;
    await call('Volume.set_name', { key: volume.key, new_name: name });
    volume.name = name;
  }
  async function stat(): Promise<void> {
    const volume = pick(volumes);
    compare(volume, (await call('Volume.stat', { key: volume.key })) as KnownVolume);
  }
  async function list(): Promise<void> {
    const all = new Map(((await call('SR.ls', {})) as KnownVolume[]).map((each) => [each.key, each]));
    for (const volume of volumes) {
      const found = all.get(volume.key);
      if (found === undefined) wrong(`SR.ls misses ${volume.name} (${volume.key})`);
      else compare(volume, found);
    }
    for (const key of destroyed) if (all.has(key)) wrong(`SR.ls lists ${key}, which was destroyed`);
  }
  async function setShared(): Promise<void> {
    const key = pick(order.shared);
    const mine = shared.get(key) ?? { keys: {} };
    shared.set(key, mine);
    await call('Volume.set', { key, k: me, v: String(count) });
    mine.keys[me] = String(count);
  }
  async function nameShared(): Promise<void> {
    const key = pick(order.shared);
    const mine = shared.get(key) ?? { keys: {} };
    shared.set(key, mine);
    const name = `${me} was last with ${count}`;
    await call('Volume.set_name', { key, new_name: name });
    mine.name = name;
  }
  async function statShared(): Promise<void> {
    const key = pick(order.shared);
    const { keys } = (await call('Volume.stat', { key })) as KnownVolume;
    const mine = shared.get(key)?.keys[me];
    if (mine !== undefined && keys[me] !== mine) wrong(`${key} has ${keys[me]} of ours instead of ${mine}`);
    // Whoever else counts there counts upwards.
    for (const [who, value] of Object.entries(keys)) {
      const before = seen.get(`${key} ${who}`) ?? -1;
      if (Number(value) < before) wrong(`${key} went back from ${before} to ${value} of ${who}`);
      seen.set(`${key} ${who}`, Number(value));
    }
  }
  function compare(known: KnownVolume, found: KnownVolume): void {
    const form = ({ name, keys }: KnownVolume): string => JSON.stringify([name, Object.entries(keys).sort()]);
    if (form(known) !== form(found)) wrong(`${known.key} is ${form(found)} instead of ${form(known)}`);
  }

  while (performance.now() < end) {
    count += 1;
    const possible = [
      ...(volumes.length < ownLimit ? [create, create, create] : []),
      ...(volumes.length > 1 ? [destroy, destroy, destroy] : []),
      ...(volumes.length > 0 ? [set, set, setName, stat, list] : []),
      ...[setShared, setShared, nameShared, statShared],
    ];
    try {
      await pick(possible)();
    } catch (error) {
      wrong((error as Error).message);
    }
  }
  return { volumes, destroyed, shared };
}

/** Makes a call; it ends by itself. */
async function call(name: string, parameters: object): Promise<unknown> {
  const started = performance.now();
  const child = spawn(`${plugin}/${name}`, ['--json'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  child.stdin.end(JSON.stringify({ dbg: 'lab', sr: order.sr, ...parameters }));
  const said = await text(child.stdout);
  if ((await ended) !== 0) throw new Error(`${name} failed: ${said.slice(0, 600)}`);
  calls.push({ call: name, milliseconds: Math.round(performance.now() - started) });
  return JSON.parse(said);
}

function pick<T>(choices: readonly T[]): T {
  return choices[Math.floor(Math.random() * choices.length)] as T;
}
