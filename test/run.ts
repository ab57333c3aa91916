/** Runs all tests, and closes with the line `N passed, N failed` for CI. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const report = join(root, 'build/test-report.json');
mkdirSync(dirname(report), { recursive: true });
rmSync(report, { force: true });

const vitest = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: 'inherit' },
);

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numFailedTestSuites: number;
  readonly success: boolean;
}
const { numPassedTests, numFailedTests, numFailedTestSuites, success } = JSON.parse(
  readFileSync(report, 'utf8'),
) as Report;
// A file that cannot even be loaded has no tests to fail.
const failed = numFailedTests > 0 || success ? numFailedTests : Math.max(numFailedTestSuites, 1);
process.stdout.write(`${numPassedTests} passed, ${failed} failed\n`);
process.exitCode = vitest.status === 0 && success ? 0 : 1;
