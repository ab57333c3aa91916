import { spawnSync } from 'node:child_process';

/** How a program ran. */
export interface TimedProcess {
  /** From before its start to its end. */
  readonly milliseconds: number;
  readonly stdout: string;
}

/** Runs a program to its end. */
export function timeProcess(
  command: string,
  args: readonly string[],
  input = '',
  environment: Readonly<Record<string, string>> = {},
): TimedProcess {
  const start = performance.now();
  const { status, stdout, stderr, error } = spawnSync(command, [...args], {
    input,
    env: { ...process.env, ...environment },
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  const milliseconds = performance.now() - start;
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr ?? error}`);
  return { milliseconds, stdout };
}
