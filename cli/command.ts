/** What a command of `gfs2-sr` is. */

/** Where a command reads and writes. */
export interface Terminal {
  /** Prints one line of the answer. */
  readonly print: (line: string) => void;
  /** Says one line about what is under way, or what to mind, beside the answer. */
  readonly note: (line: string) => void;
  /** All of the standard input, as text. */
  readonly readInput: () => Promise<string>;
}

/** A command, as its words after `gfs2-sr` name it. */
export interface Command {
  /** What follows its words, such as `[--json]`. */
  readonly usage: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /**
   * Runs it.
   *
   * @throws UsageError when `args` are not what `usage` says; anything else when it fails.
   */
  readonly run: (args: readonly string[], terminal: Terminal) => Promise<void>;
}

/** A command line that means nothing. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}

/**
 * Reads the flags of a command that takes nothing else.
 *
 * @param known the flags' names, such as `--json`.
 * @throws UsageError
 */
export function readFlags<F extends string>(args: readonly string[], known: readonly F[]): ReadonlySet<F> {
  const isKnown = (word: string): word is F => known.some((flag) => flag === word);
  const unknown = args.find((word) => !isKnown(word));
  if (unknown !== undefined) throw new UsageError(`"${unknown}" means nothing here`);
  return new Set(args.filter(isKnown));
}
