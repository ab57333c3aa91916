/**
 * Runs all tests, then scenarios in a lab of virtual machines, and closes with the line `N passed, N failed`
 * for CI, which counts a scenario as a test.
 *
 * Arguments go to vitest; with some, the lab stays away.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';

interface Counts {
  readonly passed: number;
  readonly failed: number;
  /** The tests that failed, a line each. */
  readonly names: readonly string[];
}

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/** The scenarios that no change may break, and that fit into CI's time where machines are emulated. */
const scenarios = ['a', 'b'];

const root = join(import.meta.dirname, '..');
const build = join(root, 'build');
mkdirSync(build, { recursive: true });

const filters = process.argv.slice(2);
const parts = [runVitest(filters), ...(filters.length === 0 ? [runLab()] : [])];
const [passed, failed] = [sum(({ passed }) => passed), sum(({ failed }) => failed)];
for (const name of parts.flatMap(({ names }) => names)) process.stdout.write(`failed  ${name}\n`);
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;

function sum(of: (counts: Counts) => number): number {
  return parts.reduce((total, counts) => total + of(counts), 0);
}

function runVitest(files: readonly string[]): Counts {
  const report = join(build, 'test-report.json');
  rmSync(report, { force: true });
  const { status } = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules/vitest/vitest.mjs'),
      ...['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...files],
    ],
    { cwd: root, stdio: 'inherit' },
  );
  if (!existsSync(report)) return { passed: 0, failed: 1, names: ['vitest'] };
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(
    readFileSync(report, 'utf8'),
  ) as VitestReport;
  const names = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter((test) => test.status === 'failed')
      .map(({ fullName }) => `${relative(root, name)} ${fullName}`),
  );
  // A file that cannot even be loaded has no tests to fail.
  const failed = status === 0 ? numFailedTests : Math.max(numFailedTests, 1);
  return { passed: numPassedTests, failed, names };
}

/** A lab that fails is a failure of each scenario that it should have run. */
function runLab(): Counts {
  const report = join(build, 'scenario-report.json');
  rmSync(report, { force: true });
  spawnSync(process.execPath, [join(root, 'vagrant/scenarios/main.ts'), '--report', report, ...scenarios], {
    cwd: root,
    stdio: 'inherit',
  });
  const outcomes = existsSync(report)
    ? (JSON.parse(readFileSync(report, 'utf8')) as readonly { failure?: string }[])
    : [];
  const succeeded = outcomes.filter(({ failure }) => failure === undefined).length;
  // The lab has named those that failed.
  return { passed: succeeded, failed: scenarios.length - succeeded, names: [] };
}
