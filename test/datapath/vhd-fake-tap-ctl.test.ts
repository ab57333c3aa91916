/** What vhd+file asks of tap-ctl, with a fake in its place: for machines without blktap. vhd-file.test.ts has the real one. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hasCommand } from '../../src/find-command.ts';
import { Host, isFree, useFolder } from './host.ts';

const folder = useFolder();
const marker = '/run/blktap-control/tapdisk/tapdisk-977';

/** The fake in a folder of tools, an image, and a host. */
function prepare() {
  const tools = join(folder.path, 'tools');
  mkdirSync(tools);
  copyFileSync(join(import.meta.dirname, 'fake-tap-ctl'), join(tools, 'tap-ctl'));
  const image = join(folder.path, 'disk.vhd');
  const options = 'subformat=dynamic,force_size=on';
  execFileSync('qemu-img', ['create', '-q', '-f', 'vpc', '-o', options, image, '64M']);
  folder.undo.push(() => rmSync(marker, { force: true }));
  const environment = { PATH: `${tools}:${process.env.PATH}` };
  return {
    host: new Host(join(folder.path, 'host'), 'vhd+file'),
    disk: { uri: `vhd+file://${image}`, domain: '5' },
    image,
    options: { environment },
    fault: (name: string) => ({ environment: { ...environment, GFS2_SR_FAULT: name } }),
    calls: () => readFileSync(join(tools, 'calls'), 'utf8').trim().split('\n'),
  };
}

// With NBD devices the fake's disk would have to be served.
describe.skipIf(hasCommand('nbd-client'))('tap-ctl, by a fake', () => {
  it.each([
    ['Datapath.activate', ''],
    ['Datapath.activate_readonly', ' -R'],
  ] as const)(
    'is asked for all of a tapdisk, and to take it back, by %s and deactivate',
    async (call, how) => {
      const { host, disk, image, options, calls } = prepare();
      await host.call(call, disk, options);
      expect(calls()).toEqual([
        'spawn',
        'allocate',
        'attach -p PID -m 977',
        `open -p PID -m 977 -a vhd:${image}${how}`,
      ]);
      expect(isFree(image)).toBe(false);
      await host.call('Datapath.deactivate', disk, options);
      expect(calls().slice(4)).toEqual(['close -p PID -m 977 -t 30', 'detach -p PID -m 977', 'free -m 977']);
      expect([isFree(image), existsSync(marker), readdirSync(join(host.run, 'disk'))]).toEqual([
        true,
        false,
        [],
      ]);
    },
  );

  it.each(['started', 'allocated', 'attached', 'opened'])(
    'killed when a tapdisk is %s, activate leaves what detach takes back',
    async (step) => {
      const { host, disk, image, options, fault } = prepare();
      expect((await host.start('Datapath.activate', disk, fault(`activate.${step}`))).signal).toBe('SIGKILL');
      expect(isFree(image)).toBe(false);
      await host.call('Datapath.detach', disk, options);
      expect([isFree(image), existsSync(marker), readdirSync(join(host.run, 'disk'))]).toEqual([
        true,
        false,
        [],
      ]);
    },
  );
});
