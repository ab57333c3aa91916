/** `node vagrant/lab/down.ts`: takes the lab down, to nothing. */
import { labDown, upProcess } from './lab.ts';

const up = upProcess();
if (up !== undefined) {
  process.stderr.write(`The lab is being brought up by process ${up}: interrupt it, and nothing is left.\n`);
  process.exitCode = 1;
} else {
  await labDown();
}
