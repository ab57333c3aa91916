import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import packageJson from '../../package.json' with { type: 'json' };
import type { Handler } from '../../src/smapi/interface.ts';
import { listRecords } from '../activation-state.ts';
import { type LoopRecord, rawFileDriver } from './driver.ts';

/** Plugin.diagnostics: versions, and the disks that are active here. Images are shown, domains are counted. */
export const diagnostics: Handler<'Plugin.diagnostics'> = () =>
  [
    `raw+file ${packageJson.version}, Node ${process.version}, Linux ${release()}`,
    `loop devices: ${existsSync('/dev/loop-control') ? 'available' : 'missing, load the module loop'}`,
    ...listRecords(rawFileDriver.isRecord).map(describe),
  ].join('\n');

function describe({ path, loop, mode, sharable, domains }: LoopRecord): string {
  const access = `${mode}${sharable ? ', sharable' : ''}`;
  return `${path}: /dev/loop${loop}, ${access}, ${inputOutput(loop)}, ${domains.length} domain(s)`;
}

function inputOutput(loop: number): string {
  try {
    return readFileSync(`/sys/block/loop${loop}/loop/dio`, 'utf8').trim() === '1'
      ? 'direct I/O'
      : 'buffered I/O';
  } catch {
    return 'not bound';
  }
}
