import type { InterfaceError } from './interface.ts';
import type { JsonObject } from './json.ts';

/** The code of every failure that has no better one in XenAPI. */
const genericCode = 'SR_BACKEND_FAILURE';

/**
 * A failure with a meaning to whoever called: `code` and `params` go to the XenAPI client as they are,
 * `message` is the one sentence that says what to fix.
 *
 * XenAPI clients show `params[1]` to people when they have no text of their own for a code.
 */
export class SmapiError extends Error {
  override readonly name: string = 'SmapiError';
  readonly code: string;
  readonly params: readonly string[];

  constructor(code: string, params: readonly string[], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.params = params;
  }
}

/**
 * An error that the interface names. Its one argument is what the interface says (an SR, a volume's
 * key, a host): the sentence for people travels in the backtrace and the log.
 */
export class NamedError extends SmapiError {
  override readonly name: InterfaceError;

  constructor(name: InterfaceError, argument: string, message: string) {
    super(genericCode, [name, argument], message);
    this.name = name;
  }
}

/** A failure of a kind of our own: `SR_BACKEND_FAILURE` with the kind's name and the sentence. */
export class PluginError extends SmapiError {
  override readonly name: string;

  /** @param kind a short name for the kind of failure in CamelCase, such as `LunInUse`. */
  constructor(kind: string, message: string, options?: ErrorOptions) {
    super(genericCode, [kind, message], message, options);
    this.name = kind;
  }
}

/**
 * A failure with a numbered `SR_BACKEND_FAILURE_<number>` code, for which clients have texts: 140 (no
 * such host name), 141 (cannot connect), 68 (login or CHAP refused), 107 (no LUNs) and others of sm.
 */
export class NumberedError extends SmapiError {
  override readonly name: string;

  constructor(number: number, kind: string, message: string, options?: ErrorOptions) {
    super(`${genericCode}_${number}`, [kind, message], message, options);
    this.name = kind;
  }
}

/** What failed, as the wire has it. */
export interface WireError extends JsonObject {
  readonly code: string;
  readonly params: readonly string[];
  readonly backtrace: {
    readonly error: string;
    readonly files: readonly string[];
    readonly lines: readonly bigint[];
  };
}

/** Forms the wire's error object of anything thrown. */
export function toWireError(error: unknown): WireError {
  const message = error instanceof Error ? error.message : String(error);
  const name = error instanceof Error ? error.name : 'Error';
  const frames = stackFrames(error);
  const { code, params } = isSmapiError(error) ? error : { code: genericCode, params: [name, message] };
  return {
    code,
    params,
    backtrace: {
      error: `${name}: ${message}`,
      files: frames.map(({ file }) => file),
      lines: frames.map(({ line }) => line),
    },
  };
}

// By its shape, not its class: a part that is bundled by itself has a class of its own.
function isSmapiError(error: unknown): error is Pick<SmapiError, 'code' | 'params'> {
  return error instanceof Error && 'params' in error && Array.isArray(error.params) && 'code' in error;
}

function stackFrames(error: unknown): readonly { file: string; line: bigint }[] {
  if (!(error instanceof Error) || error.stack === undefined) return [];
  return [...error.stack.matchAll(/^\s+at .*?([^\s(]+?):(\d+):\d+\)?$/gm)].map(([, file, line]) => ({
    file: file ?? '',
    line: BigInt(line ?? 0),
  }));
}
