import { describe, expect, it } from 'vitest';
import { formatJson, parseJson } from './json.ts';

describe('JSON with exact integers', () => {
  it.each(['9223372036854775807', '-9223372036854775808', '9007199254740993', '0', '-1'])(
    'carries %s through unchanged',
    (literal) => {
      expect(formatJson(parseJson(`{"size":${literal}}`))).toBe(`{"size":${literal}}`);
    },
  );

  it('never prints an exponent', () => {
    expect(formatJson({ size: 10n ** 21n })).toBe('{"size":1000000000000000000000}');
  });

  it('tells an integer from a float by how it was written', () => {
    expect(parseJson('[1, 1.0, 1e3]')).toEqual([1n, 1, 1000]);
  });

  it('keeps a key named __proto__ as a key', () => {
    expect(formatJson(parseJson('{"__proto__":"x"}'))).toBe('{"__proto__":"x"}');
  });
});
