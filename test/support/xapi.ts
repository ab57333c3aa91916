/** Calls plugins as xapi-storage-script does: the entry file, `--json`, one JSON object on stdin, then EOF. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { type CallName, calls, entryName, type Parameters, type Result } from '../../src/smapi/interface.ts';
import { formatJson, type Json, parseJson } from '../../src/smapi/json.ts';
import { int64, list, record, type Schema, string } from '../../src/smapi/schema.ts';

/** The tree that `make install DESTDIR=build/root` made. */
export const installedRoot = join(import.meta.dirname, '../../build/root');
export const volumePluginFolder = 'volume/org.xen.xapi.storage.gfs2';

/** How a process ended. */
export interface Ended {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program with some text on its standard input, to its end. */
export function runProcess(
  command: string,
  args: readonly string[],
  input: string | Uint8Array,
  environment: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  // In a group of its own: a Ctrl-C is for the demo or the test, which ends when the call has.
  const child = spawn(command, [...args], { env: { ...process.env, ...environment }, detached: true });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A program that ends without reading its input is judged by its answer.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode, signal) =>
      resolve({
        exitCode,
        signal,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      }),
    );
  });
}

/** The error object of the wire, all keys required (xapi-storage-script, lib.ml). */
const wireError = record('error', {
  code: string,
  params: list(string),
  backtrace: record('backtrace', { error: string, files: list(string), lines: list(int64) }),
});

/** A call that the plugin answered with an error. */
export class CallFailed extends Error {
  readonly code: string;
  readonly params: readonly string[];
  /** The sentence for people. */
  readonly sentence: string;

  constructor(name: string, code: string, params: readonly string[], sentence: string) {
    super(`${name}: ${code} ${params.join(', ')} (${sentence})`);
    this.code = code;
    this.params = params;
    this.sentence = sentence;
  }
}

/** An entry file of the installed tree. */
export function entryFile(folder: string, name: CallName, root = installedRoot): string {
  return join(root, 'usr/libexec/xapi-storage-script', folder, entryName(name));
}

/** Reads what a call answered as xapi does; anything that xapi could not read is thrown as an Error. */
export function readAnswer<N extends CallName>(name: N, ended: Ended): Result<N> {
  if (ended.signal !== null) throw new Error(`${name} was ended by ${ended.signal}: ${ended.stderr}`);
  let answer: Json;
  try {
    answer = parseJson(ended.stdout);
  } catch (error) {
    throw new Error(`${name} (exit ${ended.exitCode}) printed no JSON: ${ended.stdout}\n${ended.stderr}`, {
      cause: error,
    });
  }
  if (ended.exitCode !== 0) {
    const { code, params, backtrace } = wireError.decode(answer, 'error');
    throw new CallFailed(name, code, params, backtrace.error);
  }
  return (calls[name].result as Schema<unknown>).decode(answer, 'result') as Result<N>;
}

/** The request that xapi writes for a call. */
export function formatRequest<N extends CallName>(name: N, parameters: Omit<Parameters<N>, 'dbg'>): string {
  const schemas = calls[name].parameters as Readonly<Record<string, Schema<unknown>>>;
  const given = { dbg: 'test', ...parameters } as Readonly<Record<string, unknown>>;
  return formatJson(
    Object.fromEntries(
      Object.entries(schemas).map(([parameter, schema]) => [
        parameter,
        schema.encode(given[parameter], parameter),
      ]),
    ),
  );
}

/** Calls an entry file with JSON parameters. */
export async function callEntry<N extends CallName>(
  file: string,
  name: N,
  parameters: Omit<Parameters<N>, 'dbg'>,
  environment: Readonly<Record<string, string>> = {},
): Promise<Result<N>> {
  return readAnswer(name, await runProcess(file, ['--json'], formatRequest(name, parameters), environment));
}

/** A caller of the installed volume plugin. */
export function volumeCaller(environment: Readonly<Record<string, string>> = {}) {
  return <N extends CallName>(name: N, parameters: Omit<Parameters<N>, 'dbg'>): Promise<Result<N>> =>
    callEntry(entryFile(volumePluginFolder, name), name, parameters, environment);
}

/** A caller of an installed datapath plugin. */
export function datapathCaller(scheme: string, environment: Readonly<Record<string, string>> = {}) {
  return <N extends CallName>(name: N, parameters: Omit<Parameters<N>, 'dbg'>): Promise<Result<N>> =>
    callEntry(entryFile(`datapath/${scheme}`, name), name, parameters, environment);
}
