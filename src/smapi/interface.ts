/**
 * SMAPIv3, the xapi storage interface in its version 5: every record, variant, error and call, in the
 * order and spelling of xapi-storage's own description (generator/lib/{plugin,control,data,task}.ml).
 *
 * The types are the schemas: what is checked at run time is what the compiler knows.
 */
import {
  bool,
  dictionary,
  float,
  int,
  int64,
  list,
  optional,
  pair,
  record,
  type Schema,
  string,
  type TypeOf,
  unit,
  variant,
} from './schema.ts';

// ---------------------------------------------------------------------------------------------- records

/** What `Plugin.query` answers. */
export const queryResult = record('query_result', {
  /** The SR type in XenAPI; xapi lower-cases it. */
  plugin: string,
  name: string,
  description: string,
  vendor: string,
  copyright: string,
  version: string,
  /** `"5.0"`; a datapath plugin that says otherwise is not registered. */
  required_api_version: string,
  features: list(string),
  /** device-config key -> help text. */
  configuration: dictionary,
  /** Cluster stacks of which one must be active before an SR is attached. */
  required_cluster_stack: list(string),
  /** Formats of images, the preferred one first; not in the IDL, but read by xapi where it knows of it. */
  supported_image_formats: optional(list(string)),
});
export type QueryResult = TypeOf<typeof queryResult>;

/** How an SR is: each with a message for people. */
export const health = variant('health', {
  Healthy: string,
  /** Busy with its own recovery; xapi lists no volumes meanwhile. */
  Recovering: string,
  /** Not reachable now; an admin may bring it back without a reboot. */
  Unreachable: string,
  /** Lost to this host until it reboots. */
  Unavailable: string,
});
export type Health = TypeOf<typeof health>;

/** An SR's state, without its volumes. */
export const srStat = record('sr_stat', {
  /** The handle that SR.attach gave. */
  sr: string,
  name: string,
  uuid: optional(string),
  description: string,
  /** Bytes. */
  free_space: int64,
  /** Bytes. */
  total_space: int64,
  /** `xeno+shm:///name` URIs of metrics. */
  datasources: list(string),
  clustered: bool,
  health,
});
export type SrStat = TypeOf<typeof srStat>;

/** One thing that SR.probe found. */
export const probeResult = record('probe_result', {
  /** The device-config that leads to it: probe again with it, or create, or attach. */
  configuration: dictionary,
  /** Whether `configuration` suffices for SR.create (no `sr`) or SR.attach (with `sr`). */
  complete: bool,
  sr: optional(srStat),
  extra_info: dictionary,
});
export type ProbeResult = TypeOf<typeof probeResult>;

/** What a volume holds. */
export const volumeType = variant('volume_type', {
  Data: null,
  CBT_Metadata: null,
  Data_and_CBT_Metadata: null,
});
export type VolumeType = TypeOf<typeof volumeType>;

/** A volume. */
export const volume = record('volume', {
  key: string,
  uuid: optional(string),
  name: string,
  description: string,
  read_write: bool,
  volume_type: optional(volumeType),
  sharable: bool,
  /** Bytes that a guest sees. */
  virtual_size: int64,
  /** Bytes that the volume takes on the storage. */
  physical_utilisation: int64,
  cbt_enabled: optional(bool),
  /** URIs for datapath plugins, best first. */
  uri: list(string),
  /** What Volume.set stored. */
  keys: dictionary,
});
export type Volume = TypeOf<typeof volume>;

/** Ranges of a volume. */
export const blocklist = record('blocklist', {
  /** Bytes. */
  blocksize: int,
  /** [start, length], in units of `blocksize`. */
  ranges: list(pair),
});
export type Blocklist = TypeOf<typeof blocklist>;

/** What changed between two volumes. */
export const changedBlocks = record('changed_blocks', {
  /** Bytes per bit. */
  granularity: int,
  /** Base64; one bit a granule, set where it changed. */
  bitmap: string,
});
export type ChangedBlocks = TypeOf<typeof changedBlocks>;

/** A way to reach a disk that was attached. */
export const implementation = variant('implementation', {
  /** A xenstore backend: `params` and, under `sm-data`, `extra`; `backend_type` such as `vbd` or `qdisk`. */
  XenDisk: record('xen_disk', { params: string, extra: dictionary, backend_type: string }),
  /** A block device of this host. */
  BlockDevice: record('block_device', { path: string }),
  /** A raw file. */
  File: record('file', { path: string }),
  /** `nbd:unix:<socket>:exportname=<name>`. */
  Nbd: record('nbd', { uri: string }),
});
export type Implementation = TypeOf<typeof implementation>;

/** What `Datapath.attach` answers. */
export const backend = record('backend', { implementations: list(implementation) });
export type Backend = TypeOf<typeof backend>;

/** A copy or mirror job. */
export const operation = variant('operation', { CopyV1: string, MirrorV1: string });
export type Operation = TypeOf<typeof operation>;

/** How a copy or mirror job is. */
export const status = record('status', {
  failed: bool,
  complete: bool,
  /** 0 to 1. */
  progress: optional(float),
});
export type Status = TypeOf<typeof status>;

/** What a task ended with. */
export const taskResult = variant('async_result', { UnitResult: null, Volume: volume });
export type TaskResult = TypeOf<typeof taskResult>;

/** How a task is. */
export const taskState = variant('state', {
  /** Progress, 0 to 1. */
  Pending: float,
  Completed: record('completion', {
    /** Seconds. */
    duration: float,
    result: optional(taskResult),
  }),
  Failed: string,
});
export type TaskState = TypeOf<typeof taskState>;

/** A long-running task. */
export const task = record('task', {
  id: string,
  debug_info: string,
  /** Seconds since the epoch. */
  ctime: float,
  state: taskState,
});
export type Task = TypeOf<typeof task>;

// ----------------------------------------------------------------------------------------------- errors

/** The errors that the interface names; each carries one string. */
export const interfaceErrors = [
  'Sr_not_attached',
  'SR_does_not_exist',
  'Volume_does_not_exist',
  'Unimplemented',
  'Cancelled',
  'Activated_on_another_host',
] as const;
export type InterfaceError = (typeof interfaceErrors)[number];

// ------------------------------------------------------------------------------------------------ calls

/** One call: its parameters in the interface's order, and its result. */
export interface Call<P extends Readonly<Record<string, Schema<unknown>>>, R> {
  readonly description: string;
  readonly parameters: P;
  readonly result: Schema<R>;
}

function call<P extends Readonly<Record<string, Schema<unknown>>>, R>(
  description: string,
  parameters: P,
  result: Schema<R>,
): Call<P, R> {
  return { description, parameters, result };
}

const dbg = string;
const sr = string;
const key = string;
const uri = string;
const domain = string;

/** Every call of the interface, by its name on the wire. */
export const calls = {
  'Plugin.query': call('Says what this plugin is and can do.', { dbg }, queryResult),
  'Plugin.ls': call('Lists the SRs attached on this host.', { dbg }, list(string)),
  'Plugin.diagnostics': call('Describes the plugin and its host for a bug report.', { dbg }, string),

  'SR.probe': call(
    'Looks for SRs and for places to make one, one step at a time.',
    { dbg, configuration: dictionary },
    list(probeResult),
  ),
  'SR.create': call(
    'Makes an empty SR; its result is the device-config to attach it with.',
    { dbg, uuid: string, configuration: dictionary, name: string, description: string },
    dictionary,
  ),
  'SR.attach': call(
    'Attaches an SR to this host; its result is the handle.',
    { dbg, configuration: dictionary },
    string,
  ),
  'SR.detach': call('Detaches an SR from this host.', { dbg, sr }, unit),
  'SR.destroy': call('Destroys an attached SR and its volumes.', { dbg, sr }, unit),
  'SR.stat': call('Describes an attached SR.', { dbg, sr }, srStat),
  'SR.set_name': call('Renames an SR.', { dbg, sr, new_name: string }, unit),
  'SR.set_description': call("Changes an SR's description.", { dbg, sr, new_description: string }, unit),
  'SR.ls': call('Lists the volumes of an SR.', { dbg, sr }, list(volume)),

  'Volume.create': call(
    'Makes a volume of at least `size` bytes.',
    { dbg, sr, name: string, description: string, size: int64, sharable: bool },
    volume,
  ),
  'Volume.snapshot': call('Makes a read-only copy of a volume.', { dbg, sr, key }, volume),
  'Volume.clone': call('Makes a writable copy of a volume.', { dbg, sr, key }, volume),
  'Volume.copy': call('Copies a volume to an SR.', { dbg, sr, key, dest_sr: string }, volume),
  'Volume.destroy': call('Destroys a volume.', { dbg, sr, key }, unit),
  'Volume.revert': call("Gives a volume a snapshot's content.", { dbg, sr, snapshot: string, key }, unit),
  'Volume.set_name': call('Renames a volume.', { dbg, sr, key, new_name: string }, unit),
  'Volume.set_description': call(
    "Changes a volume's description.",
    { dbg, sr, key, new_description: string },
    unit,
  ),
  'Volume.set': call('Stores a key and a value with a volume.', { dbg, sr, key, k: string, v: string }, unit),
  'Volume.unset': call('Forgets a key that Volume.set stored.', { dbg, sr, key, k: string }, unit),
  'Volume.resize': call(
    'Grows a volume to at least `new_size` bytes.',
    { dbg, sr, key, new_size: int64 },
    unit,
  ),
  'Volume.stat': call('Describes a volume.', { dbg, sr, key }, volume),
  'Volume.compare': call('Lists where two volumes differ.', { dbg, sr, key, key2: string }, blocklist),
  'Volume.similar_content': call(
    'Lists volumes of similar content, most similar first.',
    { dbg, sr, key },
    list(string),
  ),
  'Volume.enable_cbt': call('Starts changed block tracking.', { dbg, sr, key }, unit),
  'Volume.disable_cbt': call('Ends changed block tracking.', { dbg, sr, key }, unit),
  'Volume.data_destroy': call(
    "Drops a snapshot's data, but keeps its changed block tracking.",
    { dbg, sr, key },
    unit,
  ),
  'Volume.list_changed_blocks': call(
    'Lists the blocks that changed between two volumes, from `offset` on for `length` bytes (-1: to the end).',
    { dbg, sr, key, key2: string, offset: int64, length: int },
    changedBlocks,
  ),
  'Volume.compose': call('Puts a child (key) on a parent (key2).', { dbg, sr, key, key2: string }, unit),

  'Datapath.open': call(
    'Says whether writes to a disk are to be kept.',
    { dbg, uri, persistent: bool },
    unit,
  ),
  'Datapath.attach': call('Prepares a disk for a domain.', { dbg, uri, domain }, backend),
  'Datapath.activate': call('Makes an attached disk ready for I/O.', { dbg, uri, domain }, unit),
  'Datapath.activate_readonly': call('Makes an attached disk ready for reading.', { dbg, uri, domain }, unit),
  'Datapath.import_activate': call(
    'Makes an active disk ready to be written by a mirror; its result is the path of a socket that takes the connection.',
    { dbg, uri, domain },
    string,
  ),
  'Datapath.deactivate': call('Flushes a disk and lets go of it.', { dbg, uri, domain }, unit),
  'Datapath.detach': call('Undoes Datapath.attach.', { dbg, uri, domain }, unit),
  'Datapath.close': call('Drops writes to a disk that was opened non-persistent.', { dbg, uri }, unit),

  'Data.copy': call(
    'Copies blocks of a disk to a remote one.',
    { dbg, uri, domain, remote: string, blocklist },
    operation,
  ),
  'Data.mirror': call(
    'Copies a disk to a remote one and keeps both alike.',
    { dbg, uri, domain, remote: string },
    operation,
  ),
  'Data.stat': call('Says how a copy or mirror job is.', { dbg, operation }, status),
  'Data.cancel': call('Asks a copy or mirror job to end.', { dbg, operation }, unit),
  'Data.destroy': call('Forgets a copy or mirror job that ended.', { dbg, operation }, unit),
  'Data.ls': call('Lists the copy and mirror jobs.', { dbg }, list(operation)),

  'Task.stat': call('Says how a task is.', { dbg, id: string }, task),
  'Task.cancel': call('Asks a task to end.', { dbg, id: string }, unit),
  'Task.destroy': call('Forgets a task that ended.', { dbg, id: string }, unit),
  'Task.ls': call('Lists the tasks.', { dbg }, list(string)),
} as const;

/** The name of a call, as on the wire. */
export type CallName = keyof typeof calls;
/** What a call is given. */
export type Parameters<N extends CallName> = {
  readonly [P in keyof (typeof calls)[N]['parameters']]: TypeOf<(typeof calls)[N]['parameters'][P]>;
};
/** What a call answers. */
export type Result<N extends CallName> = TypeOf<(typeof calls)[N]['result']>;

/** The code behind one call. */
export type Handler<N extends CallName> = (parameters: Parameters<N>) => Promise<Result<N>> | Result<N>;

/**
 * The calls that a plugin implements, each as a function that loads its code: nothing is loaded that the
 * call at hand does not use.
 */
export type Plugin = { readonly [N in CallName]?: () => Promise<Handler<N>> };

/**
 * The file name of a call's entry. xapi looks entries up without regard to case, but its static-vdis
 * wants `Plugin.Query` to the letter.
 */
export function entryName(name: CallName): string {
  return name === 'Plugin.query' ? 'Plugin.Query' : name;
}
