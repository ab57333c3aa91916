import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { mountUnitOf, moveToScope } from '../../src/systemd/scopes.ts';

it('the unit of the mount that a path is on has the name that systemd gives it', () => {
  const folder = mkdtempSync('/tmp/.mount é-');
  const point = join(folder, '.a b\\c-d');
  mkdirSync(point);
  execFileSync('mount', ['-t', 'tmpfs', 'none', point]);
  try {
    // As `systemd-escape --path --suffix=mount` says.
    const name = `tmp-.mount\\x20\\xc3\\xa9\\x2d${folder.slice(-6)}-.a\\x20b\\x5cc\\x2dd.mount`;
    expect(mountUnitOf(`${point}/images/disk.qcow2`)).toBe(name);
    expect(mountUnitOf(`${point}-beside`)).not.toBe(name);
  } finally {
    execFileSync('umount', [point]);
    rmSync(folder, { recursive: true });
  }
});

it('a process that systemd cannot take is named, and what to look at', async () => {
  const before = process.env.DBUS_SYSTEM_BUS_ADDRESS;
  process.env.DBUS_SYSTEM_BUS_ADDRESS = 'unix:path=/nowhere';
  try {
    const scope = { name: 'x.scope', description: '', slice: 'x.slice', after: [], before: [] };
    await expect(moveToScope([process.pid], scope)).rejects.toMatchObject({
      name: 'SystemdUnavailable',
      message: expect.stringMatching(
        new RegExp(`did not take process ${process.pid} into x.scope .*ENOENT.*dbus`),
      ),
    });
  } finally {
    if (before === undefined) delete process.env.DBUS_SYSTEM_BUS_ADDRESS;
    else process.env.DBUS_SYSTEM_BUS_ADDRESS = before;
  }
});
