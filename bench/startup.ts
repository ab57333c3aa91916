/**
 * One whole plugin call, start to exit, against bare Node on the same binary and against a Python script
 * that only imports what the generated bindings of xapi import, and answers.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CallName, entryName, type Parameters } from '../src/smapi/interface.ts';
import {
  entryFile,
  formatRequest,
  installedRoot,
  volumeCaller,
  volumePluginFolder,
} from '../test/support/xapi.ts';
import { type Comparison, compare, type Measurement } from './measure.ts';
import { fromStart, untilStandby } from './standby.ts';
import { timeProcess } from './whole-process.ts';

const python = 'import argparse, json, logging, xmlrpc.client; json.loads(input()); print("{}")';

/** Measures `Plugin.Query` and `Volume.stat`. */
export async function benchStartup(): Promise<Comparison> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-startup-'));
  const environment = { GFS2_SR_RUN_DIR: join(folder, 'run') };
  const xapi = volumeCaller(environment);
  const path = join(folder, 'sr');
  mkdirSync(path);
  const configuration = await xapi('SR.create', {
    uuid: crypto.randomUUID(),
    configuration: { provider: 'path', path },
    name: 'bench',
    description: '',
  });
  const sr = await xapi('SR.attach', { configuration });
  try {
    const { key } = await xapi('Volume.create', {
      sr,
      name: 'v',
      description: '',
      size: 1n << 30n,
      sharable: false,
    });
    const node = join(installedRoot, 'usr/libexec/gfs2-iscsi-sr/runtime/node');
    return await compare(
      {
        'bare node': wholeProcess(node, ['-e', '0'], '', {}),
        python: wholeProcess('/usr/bin/python3', ['-c', python], '{"dbg":"bench"}\n', {}),
        ...wholeCall('Plugin.query', {}, environment),
        ...wholeCall('Volume.stat', { sr, key }, environment),
      },
      'bare node',
      40,
    );
  } finally {
    await xapi('SR.destroy', { sr });
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A call for which a process stands by, and one from its start. */
function wholeCall<N extends CallName>(
  name: N,
  parameters: Omit<Parameters<N>, 'dbg'>,
  environment: { readonly GFS2_SR_RUN_DIR: string },
): Readonly<Record<string, Measurement>> {
  const call = (more: Readonly<Record<string, string>>): Measurement =>
    wholeProcess(entryFile(volumePluginFolder, name), ['--json'], formatRequest(name, parameters), {
      ...environment,
      ...more,
    });
  return {
    [entryName(name)]: async () => {
      await untilStandby(environment.GFS2_SR_RUN_DIR);
      return await call({})();
    },
    [`${entryName(name)}, nobody standing by`]: call(fromStart),
  };
}

function wholeProcess(...process: globalThis.Parameters<typeof timeProcess>): Measurement {
  return () => timeProcess(...process).milliseconds;
}
