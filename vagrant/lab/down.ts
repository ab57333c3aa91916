/** `node vagrant/lab/down.ts`: takes the lab down, to nothing. */
import { labDown, labProcess } from './lab.ts';

const owner = labProcess();
if (owner !== undefined) {
  process.stderr.write(`The lab belongs to process ${owner}: interrupt it, and nothing is left.\n`);
  process.exitCode = 1;
} else {
  await labDown();
}
