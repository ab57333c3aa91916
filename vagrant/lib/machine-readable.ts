/** Vagrant's machine-readable output: https://developer.hashicorp.com/vagrant/docs/cli/machine-readable */

/** One line: `timestamp,target,type,data...`. */
export interface MachineReadableLine {
  /** The machine, or undefined for a line about all of them. */
  readonly target: string | undefined;
  /** `state`, `ui`, `error-exit` and so on. */
  readonly type: string;
  readonly data: readonly string[];
}

/** Reads one line; undefined for one that is none, such as a warning of Ruby's. */
export function parseLine(line: string): MachineReadableLine | undefined {
  const [timestamp, target, type, ...data] = line.split(',');
  if (type === undefined || type === '' || !/^\d+$/.test(timestamp ?? '')) return undefined;
  return { target: target === '' ? undefined : target, type, data: data.map(unescapeField) };
}

function unescapeField(text: string): string {
  return text.replaceAll('%!(VAGRANT_COMMA)', ',').replaceAll('\\n', '\n').replaceAll('\\r', '\r');
}

/** The states of machines by their names, as `vagrant status` prints them. */
export function statesOf(lines: readonly MachineReadableLine[]): ReadonlyMap<string, string> {
  const states = new Map<string, string>();
  for (const { target, type, data } of lines) {
    if (type === 'state' && target !== undefined && data[0] !== undefined) states.set(target, data[0]);
  }
  return states;
}

/** What Vagrant ended with: the class of its error and its message. */
export function errorOf(
  lines: readonly MachineReadableLine[],
): { readonly kind: string; readonly message: string } | undefined {
  const error = lines.findLast(({ type }) => type === 'error-exit');
  return error && { kind: error.data[0] ?? '', message: error.data[1] ?? '' };
}

/** A line meant for a person: what Vagrant is doing with a machine. */
export function progressOf({
  target,
  type,
  data,
}: MachineReadableLine): { readonly machine: string | undefined; readonly text: string } | undefined {
  const text = data[1]?.trim();
  if (type !== 'ui' || text === undefined || text === '') return undefined;
  // Vagrant puts the machine's name in front of the text itself, when it is about one.
  const [, named, rest] = /^(?:==> |\s*)(\S+?): +(.*)$/s.exec(text) ?? [];
  if (named !== undefined && rest !== undefined && (target === undefined || target === named))
    return { machine: named, text: rest };
  return { machine: target, text };
}
