import type { Json, JsonObject } from './json.ts';

/**
 * Runtime-checked types of the SMAPIv3 wire (the rpclib encoding of xapi-storage).
 *
 * A schema decodes what a caller sent and encodes what we answer; both directions refuse what the other
 * side would refuse: absent is not `null`, an integer is not a float, an object is not an empty list.
 */
export interface Schema<T> {
  /** The type's name, as messages give it. */
  readonly ty: string;
  /** @throws DecodeError naming `where` when `json` is not of this type. */
  decode(json: Json, where: string): T;
  /** @throws DecodeError naming `where` when a value computed by us does not fit the wire. */
  encode(value: T, where: string): Json;
}

/** The TypeScript type that a schema describes. */
export type TypeOf<S> = S extends Schema<infer T> ? T : never;

/** A value that does not have the type which the interface asks for. */
export class DecodeError extends Error {
  override readonly name = 'UnmarshalException';
  /** The parameter or field, such as `configuration` or `backend.implementations[0]`. */
  readonly where: string;

  constructor(where: string, expected: string, got: Json | undefined) {
    super(
      `${where} must be ${article(expected)}, but ${got === undefined ? 'is missing' : `is ${describe(got)}`}`,
    );
    this.where = where;
  }
}

function article(noun: string): string {
  return /^(?:an? |one of|true)/.test(noun) ? noun : `${/^[aeiou]/i.test(noun) ? 'an' : 'a'} ${noun}`;
}

// Only the kind of a value, never the value: it may be a secret.
function describe(json: Json): string {
  if (json === null) return 'null';
  if (Array.isArray(json)) return `a list of ${json.length}`;
  switch (typeof json) {
    case 'bigint':
      return json < int64Min || json > int64Max ? 'one beyond them' : 'an integer';
    case 'number':
      return 'a number with a fraction or an exponent';
    case 'boolean':
      return 'a boolean';
    case 'string':
      return 'a string';
    default:
      return 'an object';
  }
}

function isObject(json: Json): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

const int64Min = -(2n ** 63n);
const int64Max = 2n ** 63n - 1n;

function decodeInteger(json: Json, where: string): bigint {
  // xapi's decoder takes a decimal string as well, so that is part of the wire.
  const value = typeof json === 'string' && /^-?[0-9]{1,20}$/.test(json) ? BigInt(json) : json;
  if (typeof value !== 'bigint') throw new DecodeError(where, 'integer', json);
  if (value < int64Min || value > int64Max) {
    throw new DecodeError(where, 'integer of 64 bits, from -2^63 to 2^63 - 1', json);
  }
  return value;
}

/** `string`. */
export const string: Schema<string> = {
  ty: 'string',
  decode(json, where) {
    if (typeof json !== 'string') throw new DecodeError(where, 'string', json);
    return json;
  },
  encode: (value) => value,
};

/** `bool`. */
export const bool: Schema<boolean> = {
  ty: 'bool',
  decode(json, where) {
    if (typeof json !== 'boolean') throw new DecodeError(where, 'true or false', json);
    return json;
  },
  encode: (value) => value,
};

/** `int64`: exact, hence a `bigint`. */
export const int64: Schema<bigint> = {
  ty: 'int64',
  decode: decodeInteger,
  encode: (value, where) => decodeInteger(value, where),
};

/** `int`: a small integer, such as a block size; a safe `number`. */
export const int: Schema<number> = {
  ty: 'int',
  decode(json, where) {
    const value = decodeInteger(json, where);
    if (value < Number.MIN_SAFE_INTEGER || value > Number.MAX_SAFE_INTEGER) {
      throw new DecodeError(where, 'integer between -2^53 and 2^53', json);
    }
    return Number(value);
  },
  encode(value, where) {
    if (!Number.isSafeInteger(value)) throw new DecodeError(where, 'integer', value);
    return BigInt(value);
  },
};

/** `float`; an integer is accepted. */
export const float: Schema<number> = {
  ty: 'float',
  decode(json, where) {
    if (typeof json !== 'number' && typeof json !== 'bigint') throw new DecodeError(where, 'number', json);
    return Number(json);
  },
  encode(value, where) {
    if (!Number.isFinite(value)) throw new DecodeError(where, 'finite number', value);
    return value;
  },
};

/** `unit`: `null` on the wire, nothing on ours. */
export const unit: Schema<void> = {
  ty: 'unit',
  decode(json, where) {
    if (json !== null) throw new DecodeError(where, 'null', json);
  },
  encode: () => null,
};

/** A list of `item`. */
export function list<T>(item: Schema<T>): Schema<readonly T[]> {
  return {
    ty: `${item.ty} list`,
    decode(json, where) {
      if (!Array.isArray(json)) throw new DecodeError(where, 'list', json);
      return json.map((element: Json, index) => item.decode(element, `${where}[${index}]`));
    },
    encode: (value, where) => value.map((element, index) => item.encode(element, `${where}[${index}]`)),
  };
}

/** `(int64 * int64)`: a list of two. */
export const pair: Schema<readonly [bigint, bigint]> = {
  ty: 'pair of int64',
  decode(json, where) {
    if (!Array.isArray(json) || json.length !== 2) throw new DecodeError(where, 'list of two integers', json);
    return [decodeInteger(json[0], `${where}[0]`), decodeInteger(json[1], `${where}[1]`)];
  },
  encode: (value) => [value[0], value[1]],
};

/** `(string * string) list`: an object on the wire. */
export const dictionary: Schema<Readonly<Record<string, string>>> = {
  ty: '(string * string) list',
  decode(json, where) {
    if (!isObject(json)) throw new DecodeError(where, 'object of strings', json);
    return Object.fromEntries(
      Object.entries(json).map(([key, value]) => [key, string.decode(value, `${where}.${key}`)]),
    );
  },
  encode: (value) => value,
};

/** A field that may be absent; it is never `null` on the wire. */
export interface OptionalSchema<T> extends Schema<T> {
  readonly optional: true;
}

/** Makes a record's field optional. */
export function optional<T>(schema: Schema<T>): OptionalSchema<T> {
  return { ...schema, optional: true };
}

type Fields = Readonly<Record<string, Schema<unknown> | OptionalSchema<unknown>>>;
type OptionalKeys<F> = { [K in keyof F]: F[K] extends OptionalSchema<infer _> ? K : never }[keyof F];

/** The record type of a set of fields. */
export type RecordOf<F> = {
  readonly [K in Exclude<keyof F, OptionalKeys<F>>]: TypeOf<F[K]>;
} & {
  readonly [K in OptionalKeys<F>]?: TypeOf<F[K]>;
};

/** A record: keys are matched without regard to case, unknown keys are ignored, as xapi does. */
export function record<F extends Fields>(ty: string, fields: F): Schema<RecordOf<F>> {
  const entries = Object.entries(fields) as unknown as readonly [string, Schema<unknown>][];
  return {
    ty,
    decode(json, where) {
      if (!isObject(json)) throw new DecodeError(where, 'object', json);
      const given = new Map(Object.entries(json).map(([key, value]) => [key.toLowerCase(), value]));
      const decoded: Record<string, unknown> = {};
      for (const [key, schema] of entries) {
        const value = key in json ? json[key] : given.get(key.toLowerCase());
        if (value === undefined) {
          if ('optional' in schema) continue;
          throw new DecodeError(`${where}.${key}`, schema.ty, undefined);
        }
        decoded[key] = schema.decode(value, `${where}.${key}`);
      }
      return decoded as RecordOf<F>;
    },
    encode(value, where) {
      const source = value as Readonly<Record<string, unknown>>;
      const encoded: Record<string, Json> = {};
      for (const [key, schema] of entries) {
        if (source[key] === undefined) {
          if ('optional' in schema) continue;
          throw new DecodeError(`${where}.${key}`, schema.ty, undefined);
        }
        encoded[key] = schema.encode(source[key], `${where}.${key}`);
      }
      return encoded;
    },
  };
}

type VariantOf<C> = {
  [Tag in keyof C & string]: readonly [Tag, C[Tag] extends Schema<infer T> ? T : null];
}[keyof C & string];

/**
 * A variant, as `[Tag, argument]`; a tag without argument has `null` there.
 *
 * Written as `["Tag", null]` too, for that is the one spelling which both of xapi's decoders (OCaml and
 * generated Python) read alike. Tags are matched without regard to case.
 */
export function variant<C extends Readonly<Record<string, Schema<unknown> | null>>>(
  ty: string,
  cases: C,
): Schema<VariantOf<C>> {
  const byName = new Map(
    Object.entries(cases).map(([tag, schema]) => [
      tag.toLowerCase(),
      { tag, schema: schema as Schema<unknown> | null },
    ]),
  );
  const expected = `one of ${Object.keys(cases).join(', ')}`;
  return {
    ty,
    decode(json, where) {
      const [name, argument] = Array.isArray(json) ? (json as readonly Json[]) : [json];
      const found = typeof name === 'string' ? byName.get(name.toLowerCase()) : undefined;
      if (found === undefined) throw new DecodeError(where, expected, json);
      if (found.schema === null) return [found.tag, null] as unknown as VariantOf<C>;
      if (argument === undefined) throw new DecodeError(`${where}.${found.tag}`, found.schema.ty, undefined);
      return [found.tag, found.schema.decode(argument, `${where}.${found.tag}`)] as unknown as VariantOf<C>;
    },
    encode(value, where) {
      const [tag, argument] = value as readonly [string, unknown];
      const found = byName.get(tag.toLowerCase());
      if (found === undefined) throw new DecodeError(where, expected, tag);
      return [
        found.tag,
        found.schema === null ? null : found.schema.encode(argument, `${where}.${found.tag}`),
      ];
    },
  };
}
