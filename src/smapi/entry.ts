/**
 * Runs one call of a plugin as a process: what an entry file does after the launcher has started Node.
 *
 * Exit codes: 0 with the result on stdout; 1 with the error (as JSON on stdout where the caller spoke
 * JSON, as a sentence on stderr for people), or where stdout took no result; 2 for a usage error on the
 * command line.
 */
import { readSync, writeSync } from 'node:fs';
import { TextDecoder } from 'node:util';
import { deadlineFor, endDeadline } from '../deadline.ts';
import { posix } from '../posix/index.ts';
import { tellCaller } from '../standby/caller.ts';
import { startSuccessor } from '../standby/successor.ts';
import { parseArguments } from './command-line.ts';
import { NamedError, PluginError, toWireError } from './errors.ts';
import { type CallName, calls, type Handler, type Plugin } from './interface.ts';
import { formatJson, type Json, parseJson } from './json.ts';
import { DecodeError, type Schema } from './schema.ts';

/** The longest request that is read, in bytes. A real one has a few hundred. */
const maxRequest = 4 * 1024 * 1024;

/** Told of every failure, with what is known of the call. */
export type FailureListener = (failure: {
  call: string;
  dbg: string;
  error: unknown;
}) => Promise<void> | void;

/**
 * Runs the call that `entry` names and exits.
 *
 * @param entry the entry file's name, such as `SR.probe`; its case does not matter.
 * @param argv the arguments behind it.
 */
export async function runEntry(
  plugin: Plugin,
  entry: string,
  argv: readonly string[],
  onFailure: FailureListener,
): Promise<void> {
  const speaksJson = argv.includes('--json') || argv.includes('-j');
  let dbg = '';
  let failed = false;
  deadlineFor(entry, speaksJson);
  const fail = async (error: unknown): Promise<void> => {
    if (failed) return;
    failed = true;
    try {
      await onFailure({ call: entry, dbg, error });
    } catch {
      // The caller's answer matters more than our log.
    }
    endDeadline();
    if (speaksJson) print(1, `${formatJson(toWireError(error))}\n`);
    else print(2, `${entry}: ${error instanceof Error ? error.message : String(error)}\n`);
    end(1);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);

  try {
    const name = implementedCall(plugin, entry);
    const request = parseArguments(entry, name, argv);
    if (request.kind === 'help' || request.kind === 'usage-error') {
      print(request.kind === 'help' ? 1 : 2, request.text);
      end(request.kind === 'help' ? 0 : 2);
    }
    const given = request.kind === 'json' ? readRequest() : request.parameters;
    dbg = typeof given.dbg === 'string' ? given.dbg : '';
    const result = await perform(plugin, name, given);
    endDeadline();
    if (print(1, `${formatJson(result)}\n`)) end(0);
    print(2, `${entry}: its answer could not be written to standard output.\n`);
    end(1);
  } catch (error) {
    await fail(error);
  }
}

function implementedCall(plugin: Plugin, entry: string): CallName {
  const name = (Object.keys(plugin) as CallName[]).find(
    (known) => known.toLowerCase() === entry.toLowerCase(),
  );
  if (name === undefined) {
    throw new NamedError(
      'Unimplemented',
      entry,
      `This plugin has no call ${entry}; link only the entries it lists.`,
    );
  }
  return name;
}

async function perform(plugin: Plugin, name: CallName, given: Readonly<Record<string, Json>>): Promise<Json> {
  const { parameters, result } = calls[name] as {
    parameters: Readonly<Record<string, Schema<unknown>>>;
    result: Schema<unknown>;
  };
  const decoded: Record<string, unknown> = {};
  for (const [parameter, schema] of Object.entries(parameters)) {
    const value = Object.hasOwn(given, parameter) ? given[parameter] : undefined;
    if (value === undefined) throw new DecodeError(`parameter ${parameter}`, schema.ty, undefined);
    decoded[parameter] = schema.decode(value, `parameter ${parameter}`);
  }
  const load = plugin[name] as () => Promise<Handler<CallName>>;
  const handler = (await load()) as (parameters: unknown) => unknown;
  return result.encode(await handler(decoded), 'result');
}

function readRequest(): Readonly<Record<string, Json>> {
  const text = readLineOfJson();
  if (typeof text !== 'object' || text === null || Array.isArray(text)) {
    throw new PluginError(
      'BadRequest',
      'The request on standard input must be one JSON object of named parameters.',
    );
  }
  return text as Readonly<Record<string, Json>>;
}

/**
 * Reads standard input up to its end, or up to a line end behind which the document is complete: xapi
 * closes it, a person at a terminal does not.
 */
function readLineOfJson(): Json {
  const chunks: Buffer[] = [];
  let length = 0;
  for (;;) {
    const chunk = readChunk();
    length += chunk.length;
    if (length > maxRequest) {
      throw new PluginError(
        'BadRequest',
        `The request on standard input is longer than ${maxRequest} bytes.`,
      );
    }
    const ended = chunk.length === 0;
    chunks.push(chunk);
    if (!ended && chunk.at(-1) !== 0x0a) continue;
    try {
      return parseJson(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)));
    } catch (error) {
      if (!ended) continue;
      // The parser's own text quotes the request, which may hold a secret.
      const why =
        length === 0
          ? 'is empty'
          : error instanceof SyntaxError
            ? 'is not valid JSON'
            : 'is not UTF-8, or nested too deeply';
      throw new PluginError(
        'BadRequest',
        `The request on standard input ${why}; send one JSON object of named parameters.`,
      );
    }
  }
}

function readChunk(): Buffer {
  const buffer = Buffer.allocUnsafe(65536);
  for (;;) {
    try {
      return buffer.subarray(0, readSync(0, buffer));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A closed or write-only standard input has nothing to say.
      if (code === 'EOF' || code === 'EBADF' || code === 'EISDIR') return Buffer.alloc(0);
      if (code !== 'EAGAIN') throw error;
      pause();
    }
  }
}

/** Writes all of `text`, also where the other end is a slow non-blocking pipe; answers whether that went well. */
function print(fd: number, text: string): boolean {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EAGAIN') return false;
      pause();
    }
  }
  return true;
}

/** Ends the process. Node alone would first wait for its threads, such as one that asks a dead name server. */
function end(code: number): never {
  tellCaller(code);
  startSuccessor();
  try {
    if (process.getActiveResourcesInfo().some((kind) => kind.includes('Req'))) posix().exit(code);
  } catch {
    // Without the addon it takes longer.
  }
  process.exit(code);
}

function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
}
