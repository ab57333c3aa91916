/** Block devices as disks: here loop devices of the test's own stand for LUNs. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Host, useFolder } from './host.ts';

const MiB = 1024 * 1024;
const folder = useFolder();

function newHost(): Host {
  return new Host(join(folder.path, 'host'), 'raw+block');
}

/** A device, and its file. */
function newDevice(
  name = 'lun',
  options: readonly string[] = [],
): { device: string; file: string; uri: string } {
  const file = join(folder.path, name);
  writeFileSync(file, '');
  truncateSync(file, 16 * MiB);
  const device = execFileSync('losetup', ['--find', '--show', ...options, file], { encoding: 'utf8' }).trim();
  folder.undo.push(() => execFileSync('losetup', ['--detach', device]));
  return { device, file, uri: `raw+block://${device}` };
}

async function refusal(
  host: Host,
  call: 'Datapath.activate' | 'Datapath.attach' | 'Datapath.deactivate',
  uri: string,
) {
  const { params } = await host.failure(call, { uri, domain: '5' });
  return params;
}

describe('a block device', () => {
  it('is a disk while it is active, and has all that was written when it is not any more', async () => {
    const host = newHost();
    const { device, file, uri } = newDevice();
    await host.call('Datapath.open', { uri, persistent: true });
    const link = await host.device(uri);
    expect(existsSync(link)).toBe(false);
    for (let twice = 0; twice < 2; twice++) await host.call('Datapath.activate', { uri, domain: '5' });
    expect(realpathSync(link)).toBe(device);
    expect(await host.call('Plugin.diagnostics', {})).toContain(
      `${device}: ${device}, read-write, 1 domain(s)`,
    );
    execFileSync('dd', [`of=${link}`, 'conv=notrunc', 'status=none'], { input: 'written by a guest' });
    for (let twice = 0; twice < 2; twice++) await host.call('Datapath.deactivate', { uri, domain: '5' });
    expect(existsSync(link)).toBe(false);
    expect(readFileSync(file).subarray(0, 18).toString()).toBe('written by a guest');
    for (let twice = 0; twice < 2; twice++) await host.call('Datapath.detach', { uri, domain: '5' });
    await host.call('Datapath.close', { uri });
  });

  it('is one disk by whatever path it is named', async () => {
    const host = newHost();
    const { device, uri } = newDevice();
    const link = join(folder.path, 'by-id');
    symlinkSync(device, link);
    const other = `raw+block://${link}`;
    await host.call('Datapath.activate', { uri, domain: '5' });
    const [kind, sentence] = await refusal(host, 'Datapath.activate', other);
    expect(kind).toBe('VolumeInUse');
    expect(sentence).toContain(`is active on this host as ${device}`);
    await host.call('Datapath.deactivate', { uri, domain: '5' });
    await host.call('Datapath.activate', { uri: other, domain: '5' });
    await host.call('Datapath.deactivate', { uri: other, domain: '5' });
  });

  it('is for one guest, for dom0 as often as it likes, and for many where it is sharable or only read', async () => {
    const host = newHost();
    const { uri } = newDevice();
    const shared = `${uri}?sharable=true`;
    await host.call('Datapath.activate', { uri, domain: '6' });
    expect((await refusal(host, 'Datapath.activate', uri))[0]).toBe('VolumeInUse');
    await host.call('Datapath.deactivate', { uri, domain: '6' });
    for (const [name, domains] of [
      [uri, ['u0_xapi', 'u0_backup']],
      [shared, ['5', '6']],
    ] as const) {
      for (const domain of domains) await host.call('Datapath.activate', { uri: name, domain });
      for (const domain of domains) await host.call('Datapath.deactivate', { uri: name, domain });
    }
  });

  it('that the kernel uses otherwise is refused, naming the use', async () => {
    const host = newHost();
    const { device, uri } = newDevice();
    execFileSync('mkfs.ext4', ['-q', device]);
    const mount = join(folder.path, 'mount');
    mkdirSync(mount);
    execFileSync('mount', [device, mount]);
    folder.undo.push(() => execFileSync('umount', [mount]));
    const [kind, sentence] = await refusal(host, 'Datapath.activate', uri);
    expect(kind).toBe('VolumeInUse');
    expect(sentence).toContain(`the mount at ${mount}`);
  });

  it('that cannot be written is a disk to be read', async () => {
    const host = newHost();
    const { uri } = newDevice('read-only', ['--read-only']);
    expect((await refusal(host, 'Datapath.activate', uri))[0]).toBe('ImageFrozen');
    for (const domain of ['5', '6']) await host.call('Datapath.activate_readonly', { uri, domain });
    for (const domain of ['5', '6']) await host.call('Datapath.deactivate', { uri, domain });
  });

  it('is not let go while someone has it open, and is by detach', async () => {
    const host = newHost();
    const { device, uri } = newDevice();
    await host.call('Datapath.activate', { uri, domain: '5' });
    const opened = openSync(device, 'r');
    const user = spawn('sleep', ['60'], { stdio: [opened, 'ignore', 'ignore'] });
    closeSync(opened);
    try {
      const [kind, sentence] = await refusal(host, 'Datapath.deactivate', uri);
      expect(kind).toBe('DeviceInUse');
      expect(sentence).toContain(`process ${user.pid} (sleep)`);
      await host.call('Datapath.detach', { uri, domain: '5' });
    } finally {
      user.kill();
      await once(user, 'exit');
    }
    await host.call('Datapath.activate', { uri, domain: '6' });
    await host.call('Datapath.deactivate', { uri, domain: '6' });
  });

  it.each(['activate.intended', 'activate.linked', 'activate.recorded'])(
    'whose activation is killed after %s is activated and let go by the next calls',
    async (fault) => {
      const host = newHost();
      const { uri } = newDevice();
      const ended = await host.start(
        'Datapath.activate',
        { uri, domain: '5' },
        { environment: { GFS2_SR_FAULT: fault } },
      );
      expect(ended.signal).toBe('SIGKILL');
      await host.call('Datapath.activate', { uri, domain: '5' });
      await host.call('Datapath.deactivate', { uri, domain: '5' });
      await host.call('Datapath.activate', { uri, domain: '6' });
      await host.call('Datapath.deactivate', { uri, domain: '6' });
    },
  );

  it('that is not there, is no device or is to forget its writes is refused', async () => {
    const host = newHost();
    const file = join(folder.path, 'file');
    writeFileSync(file, '');
    expect((await refusal(host, 'Datapath.attach', 'raw+block:///dev/no-such-device'))[0]).toBe(
      'ImageMissing',
    );
    expect((await refusal(host, 'Datapath.attach', `raw+block://${file}`))[0]).toBe('NotAnImage');
    const { uri } = newDevice();
    const { params } = await host.failure('Datapath.open', { uri, persistent: false });
    expect(params[0]).toBe('NonPersistentUnsupported');
    // That is gone by now.
    await host.call('Datapath.deactivate', { uri: 'raw+block:///dev/no-such-device', domain: '5' });
  });
});
