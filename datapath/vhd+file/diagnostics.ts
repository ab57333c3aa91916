import { existsSync } from 'node:fs';
import { release } from 'node:os';
import packageJson from '../../package.json' with { type: 'json' };
import type { Handler } from '../../src/smapi/interface.ts';
import { listRecords } from '../activation-state.ts';
import { nbdPath } from '../nbd/device.ts';
import { describeRoomWatch } from '../room/describe.ts';
import { hasTapCtl } from '../tapdisk/tap-ctl.ts';
import { isTapbackRunning } from '../tapdisk/tapback.ts';
import { type TapdiskRecord, vhdFileDriver } from './driver.ts';

/** The file that has libvhd, of blktap, write images with O_DSYNC. */
const synchronous = '/etc/tapdisk_use_dsync';

/** Plugin.diagnostics: versions, and the disks that are active here. Images are shown, domains are counted. */
export const diagnostics: Handler<'Plugin.diagnostics'> = () =>
  [
    `vhd+file ${packageJson.version}, Node ${process.version}, Linux ${release()}`,
    `tap-ctl: ${hasTapCtl() ? 'available' : 'missing, install blktap'}; tapback: ${isTapbackRunning() ? 'running' : 'not running'}`,
    `writes: ${existsSync(synchronous) ? 'synchronous' : `direct; ${synchronous} would make them outlast a lost host`}`,
    ...listRecords(vhdFileDriver.isRecord).map(describe),
    ...describeRoomWatch(),
  ].join('\n');

function describe({ path, mode, domains, tapdisk, depth, nbd }: TapdiskRecord): string {
  const served = tapdisk === undefined ? 'no process' : `process ${tapdisk.pid}, minor ${tapdisk.minor}`;
  const device = nbd === undefined ? 'no block device' : nbdPath(nbd);
  return `${path}: ${served}, ${depth} image(s), ${device}, ${mode}, ${domains.length} domain(s)`;
}
