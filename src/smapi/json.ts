/**
 * JSON as SMAPIv3 uses it: integers are 64-bit and must survive exactly, so they are `bigint` on our
 * side and never pass through a double.
 */

/** A JSON value; every number written as an integer literal is a `bigint`. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject;

/** A JSON object. */
export interface JsonObject {
  readonly [key: string]: Json;
}

declare global {
  interface JSON {
    /** ECMAScript "JSON.parse source text access": text that JSON.stringify takes over unchanged. */
    rawJSON(text: string): { readonly rawJSON: string };
  }
}

const integerLiteral = /^-?(?:0|[1-9][0-9]*)$/;

/**
 * Parses one JSON document.
 *
 * Integer literals become `bigint` (so `1` is `1n`), literals with a fraction or an exponent stay
 * `number`: SMAPIv3's decoder tells the two apart.
 *
 * @throws SyntaxError when the text is not one JSON document, RangeError when it is nested too deeply.
 */
export function parseJson(text: string): Json {
  return JSON.parse(text, (_key, value: unknown, context?: { source?: string }) => {
    const source = context?.source;
    return typeof value === 'number' && source !== undefined && integerLiteral.test(source)
      ? BigInt(source)
      : value;
  }) as Json;
}

/** Formats a JSON value on one line; `bigint` becomes a plain integer literal, never an exponent. */
export function formatJson(value: Json): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'bigint' ? JSON.rawJSON(item.toString()) : item,
  );
}
