/** The initiator's side of the probe benchmark: prints a comparison as JSON. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compare } from './measure.ts';
import { lunCount, portals, targetCount, targetName } from './probe-array.ts';

const [folder = '', latency = '0'] = process.argv.slice(2);
const initiatorName = join(folder, 'initiatorname.iscsi');
writeFileSync(initiatorName, 'InitiatorName=iqn.2026-11.org.example:bench-host\n');
process.env.GFS2_SR_INITIATOR_NAME_FILE = initiatorName;
const { probe } = await import('../volume/sr/probe.ts');

const configuration = {
  provider: 'iscsi',
  ips: portals.join(','),
  iqns: Array.from({ length: targetCount }, (_, index) => targetName(index + 1)).join(','),
};

const relay = latency === '0' ? undefined : await startRelay();
try {
  const result = await compare(
    {
      'iscsi-ls -s': async () => {
        const start = performance.now();
        for (const portal of portals) {
          const seen = execFileSync('iscsi-ls', ['-s', `iscsi://${portal}`], { encoding: 'utf8' });
          if (seen.split('\n').filter((line) => line.includes('Lun:')).length < targetCount * lunCount) {
            throw new Error('iscsi-ls saw too little');
          }
        }
        return performance.now() - start;
      },
      'SR.probe': async () => {
        const start = performance.now();
        const found = await probe({ dbg: 'bench', configuration });
        const time = performance.now() - start;
        if (found.length !== targetCount * lunCount) throw new Error(`the probe saw ${found.length} LUNs`);
        return time;
      },
    },
    'iscsi-ls -s',
    latency === '0' ? 20 : 5,
  );
  process.stdout.write(JSON.stringify(result));
} finally {
  relay?.kill('SIGTERM');
}
process.exit(0);

async function startRelay() {
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  const script = join(import.meta.dirname, 'delay-relay.ts');
  const child = spawn(process.execPath, [script, 'near', latency, folder, ...portals], { stdio: 'ignore' });
  await Promise.race([once(child, 'exit'), sleep(1000)]);
  return child;
}
