/**
 * `node vagrant/lab/up.ts`: brings the lab up. LAB_HOSTS says how many hosts (3 unless told), LAB_BOX_EXTRA
 * names a folder with more for the box. When it fails or is interrupted, nothing is left.
 */
import { claimLab, labDown, labUp, leaveLab } from './lab.ts';

if (process.getuid?.() !== 0) fail('The lab needs root: run it through sudo.');
const hosts = Number(process.env.LAB_HOSTS ?? '3');
if (!Number.isInteger(hosts) || hosts < 1 || hosts > 3) fail('LAB_HOSTS is a number from 1 to 3.');

const started = Date.now();
const say = (line: string): void => {
  process.stderr.write(`${((Date.now() - started) / 1000).toFixed(1).padStart(6)} s  ${line}\n`);
};
const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt.abort());

try {
  await claimLab();
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}
try {
  const vagrant = await labUp({
    hosts,
    extraFolder: process.env.LAB_BOX_EXTRA,
    signal: interrupt.signal,
    onProgress: say,
  });
  await vagrant.close();
  leaveLab();
  say('the lab is up: make lab-ssh HOST=host1, make lab-down');
} catch (error) {
  say(interrupt.signal.aborted ? 'interrupted' : error instanceof Error ? error.message : String(error));
  await labDown();
  say('nothing of the lab is left');
  process.exitCode = interrupt.signal.aborted ? 130 : 1;
}

function fail(sentence: string): never {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}
