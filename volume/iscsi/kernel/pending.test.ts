import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { isLoggingIn, settleLogins } from './pending.ts';

it('knows of a login that is under way, and of its end', async () => {
  const iqn = 'iqn.2026-11.org.example:pending';
  const args = ['-e', 'setTimeout(() => {}, 60_000)', '--', '-m', 'node', '-T', iqn, '--login'];
  const child = spawn(process.execPath, args, { argv0: 'iscsiadm', stdio: 'ignore' });
  const ended = once(child, 'exit');
  try {
    await once(child, 'spawn');
    expect(isLoggingIn([iqn.toUpperCase()])).toBe(true);
    expect(isLoggingIn([`${iqn}2`])).toBe(false);
    const settled = settleLogins([iqn], 60_000);
    child.kill('SIGKILL');
    await settled;
    expect(isLoggingIn([iqn])).toBe(false);
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
});
