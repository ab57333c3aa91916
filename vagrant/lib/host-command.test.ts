import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { InfrastructureError } from './errors.ts';
import { mustRunOnHost, runOnHost } from './host-command.ts';

const sh = (script: string, options: { timeout?: number; input?: string; signal?: AbortSignal } = {}) =>
  runOnHost(undefined, 'sh', ['-c', script], { timeout: 20_000, ...options });

/** A process that has ended stays as a zombie until its parent looks. */
const runs = (pid: number): boolean => {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
};

/** Whether a killed process ends; the kernel takes its time. */
async function ends(pid: number): Promise<boolean> {
  for (let round = 0; round < 100 && runs(pid); round += 1) await sleep(50);
  return !runs(pid);
}

describe('a tool of the host', () => {
  test('gets its input, and gives its output and its exit code', async () => {
    expect(await sh('cat; echo aside >&2; exit 3', { input: 'in' })).toEqual({
      stdout: 'in',
      stderr: 'aside\n',
      exitCode: 3,
      timedOut: false,
    });
  });

  test('may end without reading its input', async () => {
    expect((await sh('exec <&-; exit 0', { input: 'x'.repeat(1_000_000) })).exitCode).toBe(0);
  });

  test('ends at its timeout with all its children, and what it printed by then is kept', async () => {
    const { stdout, exitCode, timedOut } = await sh('sleep 300 & echo $!; wait', { timeout: 500 });
    expect({ exitCode, timedOut }).toEqual({ exitCode: undefined, timedOut: true });
    expect(await ends(Number(stdout))).toBe(true);
  });

  test('is not waited for beyond its timeout when another process holds its output open', async () => {
    const { stdout, timedOut } = await sh('setsid sleep 300 & echo $!; wait', { timeout: 500 });
    expect(timedOut).toBe(true);
    expect(runs(Number(stdout))).toBe(true);
    process.kill(Number(stdout), 'SIGKILL');
  });

  test('ends when it is aborted', async () => {
    const abort = new AbortController();
    const pids: number[] = [];
    const running = runOnHost(undefined, 'sh', ['-c', 'echo $$; exec sleep 300'], {
      timeout: 20_000,
      signal: abort.signal,
      onLine: (line) => {
        pids.push(Number(line));
        abort.abort();
      },
    });
    await expect(running).rejects.toThrow(/abort/i);
    expect(await ends(pids[0] ?? 0)).toBe(true);
  });

  test('that is not there is a fault of the infrastructure', async () => {
    await expect(runOnHost(undefined, 'no-such-tool', [], { timeout: 1_000 })).rejects.toThrow(
      new InfrastructureError('no-such-tool could not be run (ENOENT).'),
    );
  });

  test('that must succeed says what it was, and why it did not', async () => {
    const failing = mustRunOnHost(undefined, 'sh', ['-c', 'echo because >&2; exit 1'], { timeout: 20_000 });
    await expect(failing).rejects.toThrow(/^sh -c .* failed: because$/);
    await expect(failing).rejects.toBeInstanceOf(InfrastructureError);
  });
});
