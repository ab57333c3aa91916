/**
 * SR.probe of 2 portals x 8 targets x 32 LUNs against `iscsi-ls -s` of both portals on the same tgtd: on bare
 * loopback, and with 5 ms of added latency each way. Everything runs in network namespaces of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProcess } from '../test/support/xapi.ts';
import type { Comparison } from './measure.ts';

const latency = 5;

/** Measures both. */
export async function benchProbe(): Promise<Readonly<Record<string, Comparison>>> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-probe-'));
  const target = await startInNamespace('probe-target.ts', [folder]);
  try {
    const loopback = await runClient(['nsenter', '-t', String(target.pid), '-n'], [folder, '0']);
    const delayed = await runClient(['unshare', '-n'], [folder, String(latency)]);
    return { 'bare loopback': loopback, [`${latency} ms each way`]: delayed };
  } finally {
    target.kill('SIGTERM');
    await once(target, 'exit');
    rmSync(folder, { recursive: true, force: true });
  }
}

async function startInNamespace(script: string, args: readonly string[]): Promise<ChildProcess> {
  // unshare becomes Node, so the pid is that of the namespace's process.
  const child = spawn('unshare', ['-n', process.execPath, join(import.meta.dirname, script), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await Promise.race([
    once(child.stdout as NodeJS.ReadableStream, 'data'),
    once(child, 'exit').then(() => {
      throw new Error(`${script} did not start`);
    }),
  ]);
  return child;
}

async function runClient(inNamespace: readonly string[], args: readonly string[]): Promise<Comparison> {
  const [command = '', ...rest] = inNamespace;
  const script = join(import.meta.dirname, 'probe-client.ts');
  const ended = await runProcess(command, [...rest, process.execPath, script, ...args], '');
  if (ended.exitCode !== 0) throw new Error(`the probe benchmark failed: ${ended.stderr}`);
  return JSON.parse(ended.stdout) as Comparison;
}
