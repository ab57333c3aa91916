import { faultPoint } from '../src/fault-point.ts';
import { PluginError } from '../src/smapi/errors.ts';
import {
  type ActivationMode,
  type ActivationRecord,
  type ActivationState,
  withActivationState,
} from './activation-state.ts';
import { type Activation, type ActiveDisk, type DiskDriver, diskOf, reconcile } from './disk.ts';
import { describeDomain, findRival } from './domains.ts';
import { keepRoomWatched, tellWatcher } from './room/keep-watched.ts';

/** Makes a disk active for a domain; what Datapath.activate and activate_readonly have in common. */
export async function activateDisk<R extends ActivationRecord, Server>(
  driver: DiskDriver<R, Server>,
  uri: string,
  domain: string,
  mode: ActivationMode,
): Promise<void> {
  const disk = diskOf(driver.scheme, uri);
  await withActivationState(disk.key, disk.path, driver.isRecord, async (state) => {
    faultPoint('activate.locked');
    const active = await reconcile(driver, disk, state);
    // Before it can be written, and again by each repeat: the watcher may have been killed.
    const isWatched = mode === 'read-write' && driver.canPause;
    if (isWatched) await keepRoomWatched();
    if (active === undefined) await start(driver, { disk, domain, mode }, state);
    else await join(driver, { disk, domain, mode }, state, active);
    if (isWatched) tellWatcher();
  });
}

/** Gives one more domain a disk that is active already. */
async function join<R extends ActivationRecord, Server>(
  driver: DiskDriver<R, Server>,
  { disk, domain, mode }: Activation,
  state: ActivationState<R>,
  { record, server }: ActiveDisk<R, Server>,
): Promise<void> {
  const holder = record.domains[0] ?? domain;
  if (record.mode !== mode || record.sharable !== disk.sharable) {
    const how = `${record.mode}${record.sharable ? ' and sharable' : ''}`;
    throw inUse(disk.path, `is active ${how} for ${describeDomain(holder)}`);
  }
  const rival = mode === 'read-write' && !disk.sharable ? findRival(record.domains, domain) : undefined;
  if (rival !== undefined) throw inUse(disk.path, `is active read-write for ${describeDomain(rival)}`);
  await driver.publish(disk, server, record);
  if (!record.domains.includes(domain)) state.write({ ...record, domains: [...record.domains, domain] });
}

async function start<R extends ActivationRecord, Server>(
  driver: DiskDriver<R, Server>,
  activation: Activation,
  state: ActivationState<R>,
): Promise<void> {
  const { disk } = activation;
  try {
    await driver.start(activation, state);
  } catch (error) {
    if (!(error instanceof PluginError && error.name === 'VolumeInUse')) throw error;
    const unrecorded = await driver.find(disk, undefined);
    if (unrecorded === undefined) throw error;
    if (driver.serves(unrecorded)) {
      throw inUse(disk.path, `${driver.describe(unrecorded)}, for a domain of which no record is left,`);
    }
    // A detach left the server to its last user.
    await driver.stop(disk, unrecorded, undefined, false);
    await driver.start(activation, state);
  }
}

function inUse(path: string, how: string): PluginError {
  return new PluginError('VolumeInUse', `The image ${path} ${how} on this host; deactivate it there first.`);
}
