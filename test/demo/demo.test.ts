import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const demo = join(import.meta.dirname, '../../demo/demo.ts');

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'demo-test-'));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

/** Runs the demo as a terminal does: a Ctrl-C goes to its whole process group. */
async function runDemo(interruptAt?: string): Promise<{ exitCode: number; output: string }> {
  const child = spawn(process.execPath, [demo], {
    env: { ...process.env, TMPDIR: scratch },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let interrupted = false;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk;
      if (interruptAt !== undefined && !interrupted && output.includes(interruptAt)) {
        interrupted = true;
        process.kill(-(child.pid as number), 'SIGINT');
      }
    });
  }
  const [exitCode] = (await once(child, 'close')) as [number];
  expect(interrupted).toBe(interruptAt !== undefined);
  return { exitCode, output };
}

function expectNothingLeft(): void {
  expect(readdirSync(scratch)).toEqual([]);
  expect(execFileSync('losetup', ['-a'], { encoding: 'utf8' })).not.toContain(scratch);
  const users = readdirSync('/proc').filter((pid) => {
    try {
      return (
        /^\d+$/.test(pid) &&
        pid !== String(process.pid) &&
        readFileSync(`/proc/${pid}/environ`, 'latin1').includes(scratch)
      );
    } catch {
      return false;
    }
  });
  expect(users).toEqual([]);
}

describe('the demo', () => {
  it('finds the SR on the array, runs a disk, and leaves nothing behind', async () => {
    const { exitCode, output } = await runDemo();
    expect(output).toContain('SR "Demo SR"');
    expect(output).toContain('SR_BACKEND_FAILURE_68');
    expect(output).toContain('written and read back');
    expect(exitCode).toBe(0);
    expectNothingLeft();
  });

  it.each([
    '0. A private',
    '1. SR.probe',
    '2. SR.probe',
    '3. SR.probe',
    '4. An SR',
    'SR.attach',
    'Volume.create',
    'activate',
    '5. Everything',
  ])('leaves nothing behind when it is interrupted at "%s"', async (at) => {
    const { exitCode, output } = await runDemo(at);
    expect(output).not.toContain('Could not be undone');
    expect(exitCode).toBe(130);
    expectNothingLeft();
  });
});
