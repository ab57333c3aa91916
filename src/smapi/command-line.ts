/**
 * The command line of an entry, for people and for static-vdis: positional arguments in the interface's
 * order, except objects, which are given as `--name KEY VALUE`, any number of times.
 */
import type { CallName } from './interface.ts';
import { calls } from './interface.ts';
import { type Json, parseJson } from './json.ts';
import { bool, dictionary, float, int, int64, type Schema, string } from './schema.ts';

/** What an argument list asks for. */
export type Request =
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'usage-error'; readonly text: string }
  /** Parameters are on standard input, as JSON. */
  | { readonly kind: 'json' }
  | { readonly kind: 'arguments'; readonly parameters: Readonly<Record<string, Json>> };

/**
 * Reads an entry's arguments.
 *
 * @param program the entry's name as the user typed it, for messages.
 */
export function parseArguments(program: string, name: CallName, argv: readonly string[]): Request {
  const parameters = Object.entries(calls[name].parameters) as readonly [string, Schema<unknown>][];
  const options = parameters.filter(([, schema]) => schema === dictionary);
  const positionals = parameters.filter(([, schema]) => schema !== dictionary);
  const usage = formatUsage(program, options, positionals);
  const fail = (why: string): Request => ({
    kind: 'usage-error',
    text: `${usage}${program}: error: ${why}\n`,
  });

  const given: string[] = [];
  const objects = new Map(options.map(([option]) => [option, {} as Record<string, Json>]));
  let json = false;
  let onlyPositionals = false;
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] as string;
    if (onlyPositionals || !argument.startsWith('-') || argument === '-' || /^-[0-9]+$/.test(argument)) {
      given.push(argument);
    } else if (argument === '--') {
      onlyPositionals = true;
    } else if (argument === '-h' || argument === '--help') {
      return { kind: 'help', text: formatHelp(usage, name, options, positionals) };
    } else if (argument === '-j' || argument === '--json') {
      json = true;
    } else {
      const object = objects.get(argument.slice(2));
      if (!argument.startsWith('--') || object === undefined)
        return fail(`unrecognized arguments: ${argument}`);
      const [key, value] = argv.slice(index + 1, index + 3);
      if (key === undefined || value === undefined) return fail(`argument ${argument}: expected 2 arguments`);
      Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
      index += 2;
    }
  }
  if (json) return { kind: 'json' };

  const missing = positionals.slice(given.length).map(([parameter]) => parameter);
  if (missing.length > 0) return fail(`the following arguments are required: ${missing.join(', ')}`);
  const extra = given.slice(positionals.length);
  if (extra.length > 0) return fail(`unrecognized arguments: ${extra.join(' ')}`);

  const values: Record<string, Json> = Object.fromEntries(objects);
  for (const [index, [parameter, schema]] of positionals.entries()) {
    const text = given[index] as string;
    const value = parseValue(schema, text);
    if (value === undefined) return fail(`argument ${parameter}: invalid ${schema.ty} value: '${text}'`);
    values[parameter] = value;
  }
  return { kind: 'arguments', parameters: values };
}

/** The value that a word stands for; undefined when it is none of its type. */
function parseValue(schema: Schema<unknown>, text: string): Json | undefined {
  if (schema === string) return text;
  if (schema === int || schema === int64) return /^[+-]?[0-9]+$/.test(text) ? BigInt(text) : undefined;
  if (schema === float) return text !== '' && Number.isFinite(Number(text)) ? Number(text) : undefined;
  try {
    // `True` and `False` are what Python users type.
    return parseJson(schema === bool ? text.toLowerCase() : text);
  } catch {
    return undefined;
  }
}

type Named = readonly (readonly [string, Schema<unknown>])[];

function formatUsage(program: string, options: Named, positionals: Named): string {
  const words = [
    '[-h]',
    '[-j]',
    ...options.map(([option]) => `[--${option} ${option.toUpperCase()} ${option.toUpperCase()}]`),
    ...positionals.map(([parameter]) => parameter),
  ];
  return `usage: ${program} ${words.join(' ')}\n`;
}

function formatHelp(usage: string, name: CallName, options: Named, positionals: Named): string {
  const line = (left: string, right: string) => `  ${left.padEnd(24)}${right}\n`;
  return [
    usage,
    `\n${calls[name].description}\n`,
    '\npositional arguments:\n',
    ...positionals.map(([parameter, schema]) => line(parameter, schema.ty)),
    '\noptions:\n',
    line('-h, --help', 'show this help message and exit'),
    line('-j, --json', 'read the parameters from standard input, as one JSON object'),
    ...options.map(([option]) => line(`--${option} KEY VALUE`, 'one entry; may be given again')),
  ].join('');
}
