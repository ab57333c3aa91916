/** The target's side of the probe benchmark, in a namespace of its own: tgtd, and the far half of the relay. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { lunCount, portals, targetCount, targetName } from './probe-array.ts';

const [folder = ''] = process.argv.slice(2);
const controlPort = '4711';
process.env.TGT_IPC_SOCKET = join(folder, 'control');
execFileSync('ip', ['link', 'set', 'lo', 'up']);
const tgtd = spawn(
  'tgtd',
  ['-f', '-C', controlPort, '--iscsi', portals.map((portal) => `portal=${portal}`).join(',')],
  {
    stdio: 'ignore',
  },
);
const relay = spawn(
  process.execPath,
  [join(import.meta.dirname, 'delay-relay.ts'), 'far', folder, ...portals],
  {
    stdio: 'inherit',
  },
);
process.on('SIGTERM', async () => {
  const ended = [tgtd, relay].map((child) => once(child, 'exit'));
  tgtd.kill('SIGKILL');
  relay.kill('SIGTERM');
  await Promise.all(ended);
  process.exit(0);
});

while (!(await listens())) await sleep(50);
const tgtadm = (...args: readonly string[]) =>
  execFileSync('tgtadm', ['-C', controlPort, '--lld', 'iscsi', ...args]);
for (let target = 1; target <= targetCount; target++) {
  const tid = ['--tid', String(target)];
  tgtadm('--op', 'new', '--mode', 'target', ...tid, '-T', targetName(target));
  tgtadm('--op', 'bind', '--mode', 'target', ...tid, '-I', 'ALL');
  for (let lun = 1; lun <= lunCount; lun++) {
    tgtadm(
      '--op',
      'new',
      '--mode',
      'logicalunit',
      ...tid,
      '--lun',
      String(lun),
      '-b',
      '/dev/null',
      '--bstype',
      'null',
    );
  }
}
process.stdout.write('ready\n');

function listens(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(3260, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}
