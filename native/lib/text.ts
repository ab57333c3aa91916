/**
 * Splits text of the form key=value, each ended by a zero byte (RFC 7143 section
 * 6.1). Undefined when it is not of that form, or is cut off.
 */
export function textPairs(bytes: Uint8Array): [key: string, value: string][] | undefined {
  const text = Buffer.from(bytes).toString('utf8');
  if (text !== '' && !text.endsWith('\0')) return undefined;
  const pairs: [string, string][] = [];
  for (const line of text.split('\0')) {
    if (line === '') continue;
    const equals = line.indexOf('=');
    if (equals < 1) return undefined;
    pairs.push([line.slice(0, equals), line.slice(equals + 1)]);
  }
  return pairs;
}
