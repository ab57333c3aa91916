/** Running of commands of the host. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { CommandError, run } from '../../src/commands.ts';

const shell = (script: string, options: Parameters<typeof run>[2] = {}) => run('sh', ['-c', script], options);

async function failure(running: Promise<unknown>): Promise<CommandError> {
  const error = await running.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof CommandError) return error;
  throw new Error(`it did not fail as a command does: ${error}`);
}

async function isGone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 200; tries++) {
    if (!existsSync(`/proc/${pid}`)) return true;
    await sleep(50);
  }
  return false;
}

describe('a command', () => {
  it('gets its input, and says what it printed without the last line end', async () => {
    const text = 'x'.repeat(1 << 20);
    const { stdout, stderr } = await shell('cat; echo; echo; echo said >&2', { input: text });
    expect(stdout).toBe(`${text}\n`);
    expect(stderr).toBe('said');
  });

  it('may leave its input unread', async () => {
    expect(await shell('exit 0', { input: 'x'.repeat(1 << 20) })).toMatchObject({ exitCode: 0 });
  });

  it('gives bytes as hex', async () => {
    expect((await shell("printf '\\377\\n\\000'", { encoding: 'hex' })).stdout).toBe('ff0a00');
  });

  it('runs in the C locale, with the rest of the environment', async () => {
    const { stdout } = await shell('echo $LC_ALL $HOME');
    expect(stdout).toBe(`C ${process.env.HOME}`);
  });

  it('has the descriptors that it inherits, and reports its output as it comes', async () => {
    const pieces: string[] = [];
    await shell('readlink /proc/self/fd/3', {
      inherit: [openSync('/etc/hostname', 'r')],
      onOutput: (text) => pieces.push(text),
    });
    expect(pieces.join('')).toBe('/etc/hostname\n');
  });

  it('that fails is named with its exit code and the last line of its errors', async () => {
    const error = await failure(shell('echo first >&2; echo last >&2; echo >&2; exit 7'));
    expect(error).toMatchObject({ exitCode: 7, timedOut: false });
    expect(error.message).toBe('sh failed with exit code 7: last');
    expect(await shell('exit 7', { expect: [0, 7] })).toMatchObject({ exitCode: 7 });
  });

  it('that is not there, or ended by a signal, is said so', async () => {
    expect((await failure(run('no-such-command', []))).message).toMatch(/is not installed on this host/);
    expect((await failure(run('/etc', []))).message).toMatch(/could not be run \(EACCES\)/);
    expect((await failure(shell('kill -SEGV $$'))).message).toMatch(/could not be run \(SIGSEGV\)/);
  });

  it('that takes too long is ended, also where it does not heed SIGTERM', async () => {
    const error = await failure(
      shell('trap "" TERM; echo $$ >&2; while :; do sleep 0.1; done', { timeout: 500 }),
    );
    expect(error).toMatchObject({ timedOut: true, stuck: undefined });
    expect(error.message).toBe('sh did not end within 500 ms.');
    expect(await isGone(Number(error.stderr))).toBe(true);
  });

  it('that leaves its output to a child of its own is not waited for longer than it may take', async () => {
    const error = await failure(shell('sleep 30 & echo $! >&2', { timeout: 100 }));
    expect(error.timedOut).toBe(true);
  });

  it('is ended when that is asked for', async () => {
    const asked = new AbortController();
    let pid = 0;
    const running = shell('echo $$; exec sleep 60', {
      signal: asked.signal,
      onOutput: (text) => {
        pid = Number(text);
        asked.abort(new Error('not wanted any more'));
      },
    });
    await expect(running).rejects.toThrow('not wanted any more');
    expect(await isGone(pid)).toBe(true);
    await expect(shell('exit 0', { signal: asked.signal })).rejects.toThrow('not wanted any more');
  });

  it('ends with the process that runs it, where that is told to end', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'commands-'));
    try {
      const commands = join(import.meta.dirname, '../../src/commands.ts');
      const script = `const { run } = await import(${JSON.stringify(commands)});
        await run('sh', ['-c', 'echo $$ > "$1"; mv "$1" "$2"; exec sleep 60', '', 'pid.new', 'pid']);`;
      const runner = spawn(process.execPath, ['--input-type=module', '-e', script], { cwd: folder });
      while (!existsSync(join(folder, 'pid'))) await sleep(20);
      const ended = once(runner, 'close');
      runner.kill('SIGTERM');
      expect((await ended)[1]).toBe('SIGTERM');
      expect(await isGone(Number(readFileSync(join(folder, 'pid'), 'utf8')))).toBe(true);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
