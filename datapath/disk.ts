/** Disks, and what serves them: what datapaths differ in. */
import type { ActivationMode, ActivationRecord, ActivationState, RecordGuard } from './activation-state.ts';
import { imageKey } from './activation-state.ts';
import { type FileUri, parseFileUri } from './file-uri.ts';

/** A disk: an image that a URI names. */
export interface Disk extends FileUri {
  readonly key: string;
}

/** What a disk is activated for. */
export interface Activation {
  readonly disk: Disk;
  readonly domain: string;
  readonly mode: ActivationMode;
}

/**
 * What serves the disks of one datapath, and holds the locks of their images meanwhile: a server is a loop
 * device, or a process. Only whoever holds a disk's state may ask for anything here.
 *
 * `lossy` is for Datapath.detach: it goes on after a failed flush, with a line in the log, and waits less.
 */
export interface DiskDriver<R extends ActivationRecord, Server> {
  readonly scheme: string;
  readonly isRecord: RecordGuard<R>;
  /** Whether disks that are written can be paused while their storage is full: those of processes, see `room/`. */
  readonly canPause: boolean;
  /** What serves a disk, by its record; without one, as when someone emptied /run, all that there is is searched. */
  find(disk: Disk, record: R | undefined): Promise<Server | undefined>;
  /** Whether a server is good for more than to be let go. */
  serves(server: Server): boolean;
  /** Describes a server that no record leads to, such as `is active as /dev/loop3`. */
  describe(server: Server): string;
  /**
   * Takes the locks and starts a server. The record is written before anything lasting is done, without a domain,
   * and with it last of all; a start that fails leaves neither.
   */
  start(activation: Activation, state: ActivationState<R>): Promise<void>;
  /** Sees to it that users of an active disk find its server. */
  publish(disk: Disk, server: Server, record: R): Promise<void> | void;
  /**
   * Flushes what was written, and ends the server and its locks.
   *
   * @throws PluginError `DeviceInUse`, `FlushFailed`.
   */
  stop(disk: Disk, server: Server, record: R | undefined, lossy: boolean): Promise<void>;
  /** Removes what is left of a disk beside its record, when no server is. */
  cleanUp(disk: Disk, record: R | undefined): Promise<void>;
}

/** A disk that is active on this host, as the kernel and the record agree. */
export interface ActiveDisk<R extends ActivationRecord, Server> {
  readonly record: R;
  readonly server: Server;
}

/** @throws PluginError `BadUri`. */
export function diskOf(scheme: string, uri: string): Disk {
  const named = parseFileUri(uri, scheme);
  return { ...named, key: imageKey(scheme, named.path) };
}

/**
 * Finds out how a disk is, and finishes what a call that died had begun: a record without a server is
 * dropped, and a server that serves nobody is ended.
 *
 * @returns undefined when the disk is not active.
 * @throws PluginError `DeviceInUse`, `FlushFailed`.
 */
export async function reconcile<R extends ActivationRecord, Server>(
  driver: DiskDriver<R, Server>,
  disk: Disk,
  state: ActivationState<R>,
  lossy = false,
): Promise<ActiveDisk<R, Server> | undefined> {
  const record = state.read();
  if (record === undefined) return undefined;
  const server = await driver.find(disk, record);
  if (server !== undefined && driver.serves(server) && record.domains.length > 0) return { record, server };
  if (server !== undefined) await driver.stop(disk, server, record, lossy);
  await forget(driver, disk, state);
  return undefined;
}

/** Drops the record of a disk whose server is gone, and what else is left of it. */
export async function forget<R extends ActivationRecord, Server>(
  driver: DiskDriver<R, Server>,
  disk: Disk,
  state: ActivationState<R>,
): Promise<void> {
  await driver.cleanUp(disk, state.read());
  state.remove();
}
