import { PluginError } from '../src/smapi/errors.ts';

/** A disk image in a file, as a URI names it. */
export interface FileUri {
  /** Absolute path of the image. */
  readonly path: string;
  /** Whether several hosts and guests may write at once. */
  readonly sharable: boolean;
}

/**
 * Reads `<scheme>:///<absolute path, percent-encoded>[?sharable=true]`.
 *
 * Strict: one image has one spelling, and a URI that could mean two things is refused.
 *
 * @throws PluginError `BadUri` saying what is wrong with it.
 */
export function parseFileUri(uri: string, scheme: string): FileUri {
  const bad = (why: string): PluginError =>
    new PluginError('BadUri', `The URI ${uri} ${why}; it must be like ${scheme}:///path/of/image.`);

  const given = /^([^:/?#]*):/.exec(uri)?.[1];
  if (given !== scheme) {
    throw bad(given === undefined ? 'has no scheme' : `has the scheme ${given}, which is not ${scheme}`);
  }
  const rest = uri.slice(scheme.length + 1);
  if (rest.includes('#')) throw bad('has a fragment');
  const [location = '', query, ...more] = rest.split('?');
  if (more.length > 0) throw bad('has more than one "?"');
  if (!location.startsWith('//')) throw bad('has no "//" behind its scheme');
  const path = location.slice(2);
  if (!path.startsWith('/'))
    throw bad('has a host name or a relative path, where only a path of this host may be');
  return { path: decodePath(path, bad), sharable: readSharable(query, bad) };
}

function decodePath(encoded: string, bad: (why: string) => PluginError): string {
  const segments = encoded.slice(1).split('/');
  return `/${segments.map((segment) => decodeSegment(segment, bad)).join('/')}`;
}

function decodeSegment(segment: string, bad: (why: string) => PluginError): string {
  const unencoded = /[^A-Za-z0-9\-._~!$&'()*+,;=:@%]/u.exec(segment)?.[0];
  if (unencoded !== undefined) {
    throw bad(`has the character ${JSON.stringify(unencoded)}, which must be percent-encoded as UTF-8`);
  }
  let name: string;
  try {
    name = decodeURIComponent(segment);
  } catch {
    throw bad('has a "%" that is not followed by the hexadecimal digits of UTF-8');
  }
  if (name.includes('\0')) throw bad('has a NUL character (%00)');
  if (name.includes('/')) throw bad('has an encoded "/" (%2F) inside a name');
  if (name === '' || name === '.' || name === '..') {
    throw bad('has an empty name, "." or ".." in its path');
  }
  return name;
}

function readSharable(query: string | undefined, bad: (why: string) => PluginError): boolean {
  switch (query) {
    case undefined:
    case 'sharable=false':
      return false;
    case 'sharable=true':
      return true;
    default:
      throw bad(`has the query "${query}", where only sharable=true or sharable=false may be`);
  }
}
