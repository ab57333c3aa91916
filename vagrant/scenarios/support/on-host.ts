/** Programs of scenarios that run on a host itself, by the Node that is installed there. */
import { join } from 'node:path';
import type { ExecOptions, ExecResult } from '../../lib/index.ts';
import type { Host } from './host.ts';

const sources = join(import.meta.dirname, '../on-host');
const folder = '/run/lab-on-host';
const runtime = '/usr/libexec/gfs2-iscsi-sr/runtime';

/** The words of a command that runs a program of the folder on-host, where {@link putPrograms} has put it. */
export function programCommand(program: string, args: readonly string[]): readonly string[] {
  return [
    `${runtime}/loader`,
    '--library-path',
    runtime,
    `${runtime}/node`,
    `${folder}/${program}.ts`,
    ...args,
  ];
}

/** Puts the programs on a host; they are gone when it starts anew. */
export async function putPrograms(host: Host): Promise<void> {
  await host.exec(['rm', '-rf', folder]);
  await host.machine.upload(sources, folder);
}

/** Runs a program on a host. */
export async function runProgram(
  host: Host,
  program: string,
  args: readonly string[],
  options?: ExecOptions,
): Promise<ExecResult> {
  await putPrograms(host);
  return await host.exec(programCommand(program, args), options);
}
