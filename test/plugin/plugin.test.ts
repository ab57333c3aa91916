/** Plugin.query, Plugin.ls and Plugin.diagnostics of the volume plugin, by whole calls. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CallName, Result } from '../../src/smapi/interface.ts';
import { volumePlugin } from '../../volume/calls.ts';
import { deviceConfigHelp } from '../../volume/device-config-help.ts';
import { startFakeSystemd } from '../support/fake-systemd.ts';
import { hasBlktap } from '../support/vhd.ts';
import { type CallFailed, readAnswer, runProcess } from '../support/xapi.ts';

const main = join(import.meta.dirname, '../../volume/main.ts');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'plugin-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function call<N extends CallName>(
  name: N,
  environment: Readonly<Record<string, string>> = {},
  parameters: Readonly<Record<string, unknown>> = {},
  prefix: readonly string[] = [],
): Promise<Result<N>> {
  const request = JSON.stringify({ dbg: 'test', ...parameters });
  const [command = '', ...args] = [...prefix, process.execPath, main, name, '--json'];
  const ended = await runProcess(command, args, request, {
    GFS2_SR_RUN_DIR: join(folder, 'run'),
    GFS2_SR_SETTINGS_FILE: join(folder, 'settings'),
    GFS2_SR_INITIATOR_NAME_FILE: join(folder, 'initiatorname'),
    DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${join(folder, 'no-bus')}`,
    ...environment,
  });
  return readAnswer(name, ended);
}

const withSettings = (text: string): Readonly<Record<string, string>> => {
  const file = join(folder, 'other-settings');
  writeFileSync(file, text);
  return { GFS2_SR_SETTINGS_FILE: file };
};

describe('Plugin.query', () => {
  it('says what xapi wants to know, of this version', async () => {
    const answer = await call('Plugin.query');
    expect(answer).toMatchObject({
      plugin: 'gfs2',
      required_api_version: '5.0',
      required_cluster_stack: ['corosync'],
      supported_image_formats: hasBlktap ? ['raw', 'qcow2', 'vhd'] : ['raw', 'qcow2'],
      version: (
        JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
          version: string;
        }
      ).version,
    });
    expect(answer.configuration).toEqual(deviceConfigHelp);
  });

  it('claims no feature without its call', async () => {
    const { features } = await call('Plugin.query');
    const claims: Readonly<Record<string, CallName>> = {
      SR_PROBE: 'SR.probe',
      SR_CREATE: 'SR.create',
      VDI_CREATE: 'Volume.create',
      VDI_CLONE: 'Volume.clone',
      VDI_SNAPSHOT: 'Volume.snapshot',
      VDI_REVERT: 'Volume.revert',
      VDI_CONFIG_CBT: 'Volume.enable_cbt',
    };
    for (const [feature, needed] of Object.entries(claims)) {
      expect(features.includes(feature), feature).toBe(needed in volumePlugin);
    }
  });

  it('asks for no cluster stack where the settings say so, and refuses settings it cannot read', async () => {
    const settings = '# no clustering in this toolstack\n\nrequired_cluster_stack = none # really\n';
    expect((await call('Plugin.query', withSettings(settings))).required_cluster_stack).toEqual([]);
    const wrong = await call('Plugin.query', withSettings('\nrequired_cluster_stack=pacemaker\n')).catch(
      (error: CallFailed) => error,
    );
    expect(wrong).toMatchObject({
      params: ['InvalidSettings', expect.stringMatching(/other-settings, line 2, .*corosync, or none/)],
    });
  });
});

describe('Plugin.ls', () => {
  it('lists the SRs that are attached here', async () => {
    expect(await call('Plugin.ls')).toEqual([]);
    const path = join(folder, 'sr');
    mkdirSync(path);
    const uuid = crypto.randomUUID();
    const configuration = await call(
      'SR.create',
      {},
      {
        uuid,
        configuration: { provider: 'path', path },
        name: 'secret project',
        description: '',
      },
    );
    const sr = await call('SR.attach', {}, { configuration });
    expect(await call('Plugin.ls')).toEqual([sr]);
    await call('SR.detach', {}, { sr });
    expect(await call('Plugin.ls')).toEqual([]);
  });
});

describe('Plugin.diagnostics', () => {
  it('tells versions, host, storage and network, each where it is', async () => {
    const text = await call('Plugin.diagnostics');
    for (const line of [/^Node 26\./m, /^CPU: /m, /^memory: \d+ MiB/m, /^lo: /m, /^gfs2: /m, /^present: /m]) {
      expect(text).toMatch(line);
    }
  });

  it('is complete without a system bus (F-03)', async () => {
    const text = await call('Plugin.diagnostics');
    expect(text).toMatch(/== services ==\nnot available: .*ENOENT/);
  });

  it("shows the units' states", async () => {
    await using systemd = await startFakeSystemd();
    const text = await call('Plugin.diagnostics', { DBUS_SYSTEM_BUS_ADDRESS: systemd.address });
    expect(text).toContain('corosync.service: active (running)');
    expect(text).toContain('dlm.service: failed (failed)');
    expect(text).toContain('multipathd.service: not installed');
  });

  it('does not wait for a bus that never answers', async () => {
    await using systemd = await startFakeSystemd({ silent: true });
    const text = await call('Plugin.diagnostics', { DBUS_SYSTEM_BUS_ADDRESS: systemd.address });
    expect(text).toMatch(/== services ==\nnot available: no answer within 3000 ms/);
    expect(text).toMatch(/^CPU: /m);
  });

  it('shows attached SRs by their health, and nothing personal or secret', async () => {
    writeFileSync(join(folder, 'initiatorname'), 'InitiatorName=iqn.2026-11.org.example:alice-laptop\n');
    const configuration = {
      provider: 'path',
      path: join(folder, 'sr'),
      chappassword: 'S3cretMarker1',
      chapuser: 'alice',
    };
    const [row] = await call('SR.probe', {}, { configuration });
    const sr = await call('SR.attach', {}, { configuration: row?.configuration });
    const renamed = [
      'unshare',
      '-u',
      'sh',
      '-c',
      'echo alices-host > /proc/sys/kernel/hostname; exec "$@"',
      'sh',
    ];
    const text = await call('Plugin.diagnostics', {}, {}, renamed);
    expect(text).toMatch(new RegExp(`^${sr}: path, Healthy, \\d+ of \\d+ MiB free$`, 'm'));
    for (const private_ of ['S3cretMarker1', 'alice', 'secret project']) {
      expect(text).not.toContain(private_);
    }
    expect(text).not.toMatch(/(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/i);
  });
});
