import { release } from 'node:os';
import packageJson from '../../package.json' with { type: 'json' };
import type { Handler } from '../../src/smapi/interface.ts';
import { listRecords } from '../activation-state.ts';
import { type BlockRecord, findDevice, rawBlockDriver } from './driver.ts';

/** Plugin.diagnostics: versions, and the disks that are active here. Devices are shown, domains are counted. */
export const diagnostics: Handler<'Plugin.diagnostics'> = () =>
  [
    `raw+block ${packageJson.version}, Node ${process.version}, Linux ${release()}`,
    ...listRecords(rawBlockDriver.isRecord).map(describe),
  ].join('\n');

function describe({ path, number, mode, sharable, domains }: BlockRecord): string {
  const access = `${mode}${sharable ? ', sharable' : ''}`;
  const device = findDevice(path);
  const node = device?.number === number ? device.node : 'gone';
  return `${path}: ${node}, ${access}, ${domains.length} domain(s)`;
}
