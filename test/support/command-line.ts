import { bundleWithFaultPoints } from './fault-point-bundle.ts';
import { type Ended, runProcess } from './xapi.ts';

const main = bundleWithFaultPoints('cli/main.ts', 'gfs2-sr');

/** Runs a command to its end. */
export function gfs2Sr(
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<Ended> {
  return runProcess(process.execPath, [main, 'gfs2-sr', ...words], '', environment);
}
