/** `node vagrant/lab/ssh.ts HOST [COMMAND...]`: a shell, or a command, on a machine of the lab. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { place } from './place.ts';

const [host, ...command] = process.argv.slice(2);
const configuration = join(place.machines, 'ssh_config');
if (host === undefined || host === '') {
  process.stderr.write('Name a machine: make lab-ssh HOST=host1\n');
  process.exitCode = 1;
} else if (!existsSync(configuration)) {
  process.stderr.write('The lab is not up: run make lab-up first.\n');
  process.exitCode = 1;
} else {
  const words = [`--net=${place.namespace}`, 'ssh', '-F', configuration, host, ...command];
  process.exitCode = spawnSync('nsenter', words, { stdio: 'inherit' }).status ?? 1;
}
