import { readFlags, UsageError } from '../command.ts';

/**
 * Reads the arguments of a command about one SR: its uuid, and flags before or after it.
 *
 * @param known the flags' names, such as `--json`.
 * @throws UsageError
 */
export function readSrArguments<F extends string>(
  args: readonly string[],
  known: readonly F[],
): { readonly uuid: string; readonly flags: ReadonlySet<F> } {
  const flags = readFlags(
    args.filter((word) => word.startsWith('-')),
    known,
  );
  const [uuid, ...others] = args.filter((word) => !word.startsWith('-'));
  if (uuid === undefined || others.length > 0) throw new UsageError('one SR must be named by its uuid');
  return { uuid, flags };
}
