/**
 * The plugins' calls, as far as scenarios make them, in the wire's own terms: see xapi-storage's interface
 * 5.0. Integers are bigints, both ways.
 */

type Configuration = Readonly<Record<string, string>>;

/** What SR.stat says, and SR.probe of an SR. */
export interface SrStat {
  readonly sr: string;
  readonly name: string;
  readonly uuid?: string;
  readonly description: string;
  /** Bytes. */
  readonly free_space: bigint;
  /** Bytes. */
  readonly total_space: bigint;
  readonly clustered: boolean;
  /** A state and a sentence. */
  readonly health: readonly ['Healthy' | 'Recovering' | 'Unreachable' | 'Unavailable', string];
}

/** A row of SR.probe's answer. */
export interface ProbeRow {
  readonly configuration: Configuration;
  readonly complete: boolean;
  readonly sr?: SrStat;
  readonly extra_info: Configuration;
}

/** A volume. */
export interface Volume {
  readonly key: string;
  readonly name: string;
  readonly description: string;
  readonly read_write: boolean;
  readonly sharable: boolean;
  /** Bytes that a guest sees. */
  readonly virtual_size: bigint;
  /** Bytes on the storage. */
  readonly physical_utilisation: bigint;
  readonly uri: readonly string[];
  readonly keys: Configuration;
}

/** What Datapath.attach answers: ways to reach a disk, each a tag and its record. */
export interface Backend {
  readonly implementations: readonly (readonly [tag: string, value: Configuration])[];
}

interface OnSr {
  readonly sr: string;
}
interface OnVolume extends OnSr {
  readonly key: string;
}
interface OnDisk {
  readonly uri: string;
  readonly domain: string;
}

/** Parameters (without `dbg`) and result of each call. */
export interface Calls {
  'Plugin.diagnostics': [Record<never, never>, string];
  'SR.probe': [{ configuration: Configuration }, readonly ProbeRow[]];
  'SR.create': [
    { uuid: string; configuration: Configuration; name: string; description: string },
    Configuration,
  ];
  'SR.attach': [{ configuration: Configuration }, string];
  'SR.detach': [OnSr, null];
  'SR.destroy': [OnSr, null];
  'SR.stat': [OnSr, SrStat];
  'SR.ls': [OnSr, readonly Volume[]];
  'SR.set_name': [OnSr & { new_name: string }, null];
  'Volume.create': [OnSr & { name: string; description: string; size: bigint; sharable: boolean }, Volume];
  'Volume.snapshot': [OnVolume, Volume];
  'Volume.clone': [OnVolume, Volume];
  'Volume.revert': [OnVolume & { snapshot: string }, null];
  'Volume.copy': [OnVolume & { dest_sr: string }, Volume];
  'Volume.compose': [OnVolume & { key2: string }, null];
  'Volume.enable_cbt': [OnVolume, null];
  'Volume.data_destroy': [OnVolume, null];
  'Volume.destroy': [OnVolume, null];
  'Volume.stat': [OnVolume, Volume];
  'Volume.set': [OnVolume & { k: string; v: string }, null];
  'Volume.unset': [OnVolume & { k: string }, null];
  'Volume.set_name': [OnVolume & { new_name: string }, null];
  'Volume.resize': [OnVolume & { new_size: bigint }, null];
  'Datapath.open': [{ uri: string; persistent: boolean }, null];
  'Datapath.attach': [OnDisk, Backend];
  'Datapath.activate': [OnDisk, null];
  'Datapath.activate_readonly': [OnDisk, null];
  'Datapath.deactivate': [OnDisk, null];
  'Datapath.detach': [OnDisk, null];
  'Datapath.close': [{ uri: string }, null];
}

export type CallName = keyof Calls;
export type Parameters<N extends CallName> = Calls[N][0];
export type Result<N extends CallName> = Calls[N][1];

/** A call that a plugin answered with an error. */
export class CallFailed extends Error {
  override readonly name = 'CallFailed';
  /** `SR_BACKEND_FAILURE`, or with a number behind it. */
  readonly code: string;
  /** The kind of failure, and what the interface says of it. */
  readonly params: readonly string[];
  /** The sentence for people. */
  readonly sentence: string;

  constructor(host: string, call: string, code: string, params: readonly string[], sentence: string) {
    super(`${call} on ${host}: ${code} ${sentence}`);
    this.code = code;
    this.params = params;
    this.sentence = sentence;
  }
}

/** The request of a call. */
export function formatRequest(parameters: object): string {
  const raw = JSON as unknown as { rawJSON(text: string): unknown };
  return JSON.stringify({ dbg: 'lab', ...parameters }, (_key, value: unknown) =>
    typeof value === 'bigint' ? raw.rawJSON(String(value)) : value,
  );
}

/** What a call printed. */
export function parseAnswer(text: string): unknown {
  const revive = (_key: string, value: unknown, context?: { source?: string }): unknown =>
    typeof value === 'number' && /^-?\d+$/.test(context?.source ?? '')
      ? BigInt(context?.source as string)
      : value;
  return JSON.parse(text, revive as (key: string, value: unknown) => unknown);
}
