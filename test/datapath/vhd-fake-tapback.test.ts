/** vhd+file beside tapback. Only Xen's dom0 can run the real one: this is a process of its name, which is all that is looked at. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Host, useFolder } from './host.ts';

const folder = useFolder();

it('where tapback runs, a guest gets its disk by its socket, with no block device', async () => {
  const program = join(folder.path, 'tapback');
  copyFileSync('/bin/sleep', program);
  const image = join(folder.path, 'disk.vhd');
  writeFileSync(image, '');
  mkdirSync(join(folder.path, 'tools'));
  copyFileSync(join(import.meta.dirname, 'fake-tap-ctl'), join(folder.path, 'tools/tap-ctl'));
  const options = { environment: { PATH: `${join(folder.path, 'tools')}:${process.env.PATH}` } };
  const host = new Host(join(folder.path, 'host'), 'vhd+file');
  const uri = `vhd+file://${image}`;
  const without = await host.call('Datapath.attach', { uri, domain: '1' }, options);
  const child = spawn(program, ['60'], { stdio: 'ignore' });
  try {
    await once(child, 'spawn');
    expect(readFileSync(`/proc/${child.pid}/comm`, 'utf8')).toBe('tapback\n');
    const { implementations } = await host.call('Datapath.attach', { uri, domain: '1' }, options);
    const params = expect.stringMatching(/^nbd:unix:.*\/disk\/[0-9a-f]{32}\/nbd:exportname=disk$/);
    expect(implementations).toEqual([
      ['XenDisk', { params, extra: {}, backend_type: 'vbd3' }],
      ['Nbd', { uri: params }],
    ]);
    expect(
      without.implementations.every(([kind, value]) => kind !== 'XenDisk' || value.backend_type === 'vbd'),
    ).toBe(true);
  } finally {
    child.kill();
    await once(child, 'exit');
  }
});
