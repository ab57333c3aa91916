import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { expect, it } from 'vitest';
import { readOpenDevices, usesOf } from './users.ts';

it('says which process has a device open', () => {
  // No block device, but one that every machine has and hardly a process uses.
  const device = openSync('/dev/full', 'r');
  const child = spawn('sleep', ['60'], { stdio: [device, 'ignore', 'ignore'] });
  closeSync(device);
  try {
    expect(usesOf('full', readOpenDevices())).toEqual([`process ${child.pid} (sleep)`]);
  } finally {
    child.kill('SIGKILL');
  }
});
