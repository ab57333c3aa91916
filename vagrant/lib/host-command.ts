/** Runs the host's own tools, where the lab's networks are. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { InfrastructureError } from './errors.ts';

/** How a tool of the host ended. */
export interface HostResult {
  readonly stdout: string;
  readonly stderr: string;
  /** Undefined when it was killed. */
  readonly exitCode: number | undefined;
  readonly timedOut: boolean;
}

export interface HostCommandOptions {
  readonly environment?: Readonly<Record<string, string>> | undefined;
  readonly directory?: string | undefined;
  readonly input?: string | undefined;
  /** Milliseconds. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with each line of its standard output, as it comes. */
  readonly onLine?: ((line: string) => void) | undefined;
}

/** Runs a tool, in a network namespace when one is given, and never throws for how it ended. */
export async function runOnHost(
  namespace: string | undefined,
  command: string,
  args: readonly string[],
  options: HostCommandOptions,
): Promise<HostResult> {
  options.signal?.throwIfAborted();
  const words =
    namespace === undefined ? [command, ...args] : ['nsenter', `--net=${namespace}`, command, ...args];
  const child = spawn(words[0] as string, words.slice(1), {
    stdio: 'pipe',
    // A group of its own, which is ended as a whole; a terminal's Ctrl-C is for the program that drives the lab.
    detached: true,
    env: { ...process.env, LC_ALL: 'C', ...options.environment },
    cwd: options.directory,
  });
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text;
    });
  }
  if (options.onLine !== undefined) createInterface({ input: child.stdout }).on('line', options.onLine);
  // A tool that ends without reading its input is judged by how it ended.
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');

  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  child.once('close', (code) => resolve(code ?? undefined));
  child.once('error', (error: NodeJS.ErrnoException) =>
    reject(new InfrastructureError(`${words[0]} could not be run (${error.code ?? error.message}).`)),
  );
  let timedOut = false;
  const giveUp = (): void => {
    endGroup(child.pid);
    // Others may hold its pipes open: ssh hands them to the process that keeps the connection.
    child.stdout.destroy();
    child.stderr.destroy();
    resolve(undefined);
  };
  const timer = setTimeout(() => {
    timedOut = true;
    giveUp();
  }, options.timeout);
  options.signal?.addEventListener('abort', giveUp);
  try {
    const exitCode = await promise;
    options.signal?.throwIfAborted();
    return { ...output, exitCode, timedOut };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', giveUp);
  }
}

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {}
}

/** Runs a tool that must succeed, and returns what it printed. */
export async function mustRunOnHost(
  namespace: string | undefined,
  command: string,
  args: readonly string[],
  options: HostCommandOptions,
): Promise<string> {
  const { stdout, stderr, exitCode, timedOut } = await runOnHost(namespace, command, args, options);
  if (exitCode === 0) return stdout;
  const what = [command, ...args].join(' ');
  if (timedOut)
    throw new InfrastructureError(`${what} did not end within ${options.timeout} ms.`, stdout + stderr);
  throw new InfrastructureError(`${what} failed: ${stderr.trim() || `exit code ${exitCode}`}`, stderr);
}
