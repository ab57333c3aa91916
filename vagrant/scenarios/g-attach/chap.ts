/** The secrets of a target with CHAP in both directions. */
import { strict as assert } from 'node:assert';
import { chapSecrets, type LunName } from '../../lab/target.ts';
import type { Stage } from '../scenario.ts';
import type { Host } from '../support/host.ts';
import { attachSr, chapConfig, detachSr, lunConfig } from '../support/sr.ts';
import { expectNoTraces } from '../support/traces.ts';
import { expectData, keepData } from './kept-sr.ts';

const lun: LunName = { target: 'chap', number: 0 };
/** On the host, for its root only: the secrets, one a line. */
const patterns = '/root/lab-secrets';

/** An SR is made, attached, detached and destroyed there, and nobody but root's open-iscsi gets to see a secret. */
export async function secretsOfTheTarget({ host, target, step, afterwards }: Stage): Promise<void> {
  const only = host(1);
  const secrets = chapSecrets();
  await only.exec(['sh', '-c', 'umask 077; cat >"$1"', 'sh', patterns], {
    input: `${secrets.password}\n${secrets.mutualPassword}\n`,
  });
  afterwards(() => only.exec(['rm', '-f', patterns]));
  const watch = await watchCommandLines(only);
  afterwards(watch.stop);
  await target.erase(lun);
  const uuid = crypto.randomUUID();
  await step('an SR on the target with CHAP in both directions', async () => {
    const configuration = await only.call('SR.create', {
      uuid,
      configuration: { ...(await lunConfig(target, lun)), ...chapConfig(secrets) },
      name: 'the SR behind CHAP',
      description: '',
    });
    const sr = { uuid, configuration };
    afterwards(async () => {
      await only.call('SR.attach', { configuration });
      await only.call('SR.destroy', { sr: uuid });
    });
    const kept = await keepData(only, sr, lun);
    await expectNoTraces(only, target);
    await attachSr([only], sr);
    await expectData(only, kept);
    const files = await filesWithSecrets(only);
    for (const { mode, owner, path } of files) {
      assert.match(path, /^\/(etc|var\/lib)\/iscsi\/nodes\//);
      assert.deepEqual([mode, owner], ['600', 'root'], path);
    }
    assert(files.length > 0, 'the look at files sees none at all');
    await detachSr([only], sr);
    await expectNoTraces(only, target);
    assert.deepEqual(await filesWithSecrets(only), [], 'files with secrets after SR.detach');
    return `made, attached with its data, detached; while attached the secrets were in ${files.length} record with mode 600, and afterwards in none`;
  });
  await step('where the secrets were seen meanwhile', async () => {
    const { samples, seen } = await watch.stop();
    assert.deepEqual(seen, [], 'a secret in a command line or environment');
    assert(samples > 50, `only ${samples} looks at the processes`);
    const logs = await only.sh(
      '{ journalctl --boot --no-pager --output=export; dmesg; cat /run/log/* /var/log/*.log 2>/dev/null || true; } | grep -a -c -F -f "$1" || true',
      [patterns],
      { timeout: 120_000 },
    );
    assert.equal(logs.trim(), '0', 'lines of logs with a secret');
    return `in no command line and no environment (${samples} looks at all processes), in no line of a log`;
  });
}

/** Looks at the command lines and environments of all processes, as often as it can. */
async function watchCommandLines(
  host: Host,
): Promise<{ stop(): Promise<{ samples: number; seen: readonly string[] }> }> {
  const folder = '/run/lab-watch';
  // One grep a round: a shell that looked at each process would be too slow for short ones.
  const script = [
    `mkdir -p ${folder}; cd ${folder}; : >seen; : >samples`,
    'while [ ! -e stop ]; do',
    '  grep -a -l -s -F -f "$1" /proc/[0-9]*/cmdline /proc/[0-9]*/environ >>seen',
    '  echo >>samples',
    'done',
  ].join('\n');
  await host.sh(`rm -rf ${folder}; systemctl reset-failed lab-watch 2>/dev/null || true`);
  await host.exec([
    'systemd-run',
    '--quiet',
    '--collect',
    '--unit=lab-watch',
    'bash',
    '-c',
    script,
    'sh',
    patterns,
  ]);
  return {
    async stop() {
      const text = await host.sh(
        `touch ${folder}/stop; while systemctl is-active -q lab-watch; do sleep 0.2; done; wc -l <${folder}/samples; cat ${folder}/seen`,
      );
      const [samples = '0', ...seen] = text.split('\n').filter((line) => line !== '');
      return { samples: Number(samples), seen };
    },
  };
}

interface FoundFile {
  readonly mode: string;
  readonly owner: string;
  readonly path: string;
}

async function filesWithSecrets(host: Host): Promise<readonly FoundFile[]> {
  const text = await host.sh(
    `{ grep -r -l -s -D skip -F -f "$1" /etc /run /var /tmp /root --exclude="${patterns.split('/').at(-1)}" || true; } | xargs -r -d '\\n' stat -c '%a %U %n'`,
    [patterns],
    { timeout: 180_000 },
  );
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [mode = '', owner = '', path = ''] = line.split(' ');
      return { mode, owner, path };
    });
}
