import { release } from 'node:os';
import packageJson from '../../package.json' with { type: 'json' };
import type { Handler } from '../../src/smapi/interface.ts';
import { listRecords } from '../activation-state.ts';
import { hasNbdDevices, nbdPath } from '../nbd/device.ts';
import { describeRoomWatch } from '../room/describe.ts';
import { type ProcessRecord, qcow2FileDriver } from './driver.ts';

/** Plugin.diagnostics: versions, and the disks that are active here. Images are shown, domains are counted. */
export const diagnostics: Handler<'Plugin.diagnostics'> = async () =>
  [
    `qcow2+file ${packageJson.version}, Node ${process.version}, Linux ${release()}`,
    `NBD devices: ${(await hasNbdDevices(false)) ? 'available' : 'missing, load the module nbd and install nbd-client'}`,
    ...listRecords(qcow2FileDriver.isRecord).map(describe),
    ...describeRoomWatch(),
  ].join('\n');

function describe({ path, mode, domains, process, nbd }: ProcessRecord): string {
  const served =
    process === undefined
      ? 'no process'
      : `process ${process.pid}, ${process.io.direct ? 'direct' : 'buffered'} I/O (${process.io.aio}), ${process.depth} image(s)`;
  const device = nbd === undefined ? 'no block device' : nbdPath(nbd);
  return `${path}: ${served}, ${device}, ${mode}, ${domains.length} domain(s)`;
}
