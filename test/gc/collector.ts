/** Garbage collection of a test's SR by a process of its own, as `gfs2-sr gc run` is installed, but with fault points. */
import { type ChildProcess, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { VolumeHost } from '../support/volume-host.ts';
import { type Ended, runProcess } from '../support/xapi.ts';

const program = join(import.meta.dirname, '../../cli/main.ts');

/** Runs `gfs2-sr gc run` on a host; answers what it printed. */
export async function collectGarbage(host: VolumeHost, ...options: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await runCollector(host, {}, ...options);
  if (exitCode !== 0) throw new Error(`gc run ended with ${exitCode}: ${stderr}`);
  return stdout;
}

/** Has it die by SIGKILL at a named step. */
export async function dieCollecting(host: VolumeHost, fault: string): Promise<void> {
  const { signal, stdout, stderr } = await runCollector(host, { GFS2_SR_FAULT: fault });
  if (signal !== 'SIGKILL') throw new Error(`gc run did not reach ${fault}: ${stdout}${stderr}`);
}

/** Runs it to its end, whatever that is. */
export async function runCollector(
  host: VolumeHost,
  environment: Readonly<Record<string, string>> = {},
  ...options: readonly string[]
): Promise<Ended> {
  const args = [program, 'gfs2-sr', 'gc', 'run', host.uuid, ...options];
  return await runProcess(process.execPath, args, '', { ...host.environment, ...environment });
}

/** What `gfs2-sr gc status` prints. */
export async function gcStatus(host: VolumeHost): Promise<string> {
  const args = [program, 'gfs2-sr', 'gc', 'status'];
  return (await runProcess(process.execPath, args, '', host.environment)).stdout;
}

/** Starts it, and leaves it running. */
export function startCollector(host: VolumeHost, ...options: readonly string[]): ChildProcess {
  return spawn(process.execPath, [program, 'gfs2-sr', 'gc', 'run', host.uuid, ...options], {
    env: { ...process.env, ...host.environment },
    stdio: 'ignore',
  });
}

/** The bytes that the images of a host's SR take on the storage. */
export function allocated(host: VolumeHost): number {
  const blocks = host.images().map((name) => statSync(join(host.path, 'images', name)).blocks);
  return blocks.reduce((sum, count) => sum + count * 512, 0);
}
