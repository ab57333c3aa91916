import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { entryFile, readAnswer, runProcess, volumePluginFolder } from '../support/xapi.ts';

const project = join(import.meta.dirname, '../..');
const request = '{"dbg":"test"}';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'install-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function install(): Promise<void> {
  const installer = spawn(process.execPath, ['packaging/install.ts', 'build/bundles', root], {
    cwd: project,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  expect(await once(installer, 'exit')).toEqual([0, null]);
}

describe('an installation', () => {
  it('is upgraded under running calls without a call that fails, and leaves nothing but itself', async () => {
    await install();
    const query = entryFile(volumePluginFolder, 'Plugin.query', root);
    writeFileSync(
      join(root, 'usr/libexec/xapi-storage-script', volumePluginFolder, 'SR.of_an_old_version'),
      '',
    );
    let upgrading = true;
    const upgrades = (async () => {
      for (let round = 0; round < 5; round++) await install();
      upgrading = false;
    })();
    let calls = 0;
    for (; upgrading; calls++) {
      expect(readAnswer('Plugin.query', await runProcess(query, ['--json'], request)).plugin).toBe('gfs2');
    }
    await upgrades;
    expect(calls).toBeGreaterThan(0);
    expect(readdirSync(join(root, 'usr/libexec')).toSorted()).toEqual([
      'gfs2-iscsi-sr',
      'xapi-storage-script',
    ]);
    expect(
      existsSync(join(root, 'usr/libexec/xapi-storage-script', volumePluginFolder, 'SR.of_an_old_version')),
    ).toBe(false);
  });

  it('leaves the plugins of others alone', async () => {
    const other = join(root, 'usr/libexec/xapi-storage-script/volume/org.xen.xapi.storage.other');
    mkdirSync(other, { recursive: true });
    await install();
    expect(existsSync(other)).toBe(true);
  });

  it('needs no more of its host than a kernel and a shell', async () => {
    await install();
    mkdirSync(join(root, 'bin'));
    execFileSync('cp', ['/bin/busybox', join(root, 'bin/busybox')]);
    symlinkSync('busybox', join(root, 'bin/sh'));
    mkdirSync(join(root, 'dev'));
    writeFileSync(join(root, 'dev/null'), '');
    mkdirSync(join(root, 'srv'));
    const call = async (name: 'SR.create' | 'SR.attach' | 'SR.stat' | 'SR.destroy', parameters: object) => {
      const entry = entryFile(volumePluginFolder, name, '/');
      const input = JSON.stringify({ dbg: 'test', ...parameters });
      return readAnswer(name, await runProcess('chroot', [root, entry, '--json'], input));
    };
    const uuid = crypto.randomUUID();
    const configuration = await call('SR.create', {
      uuid,
      configuration: { provider: 'path', path: '/srv' },
      name: 'n',
      description: '',
    });
    const sr = await call('SR.attach', { configuration });
    expect(await call('SR.stat', { sr })).toMatchObject({
      uuid,
      name: 'n',
      health: ['Healthy', expect.any(String)],
    });
    await call('SR.destroy', { sr });
  });
});
