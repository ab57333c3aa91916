import { describe, expect, test } from 'vitest';
import { debianSources, transportOptions } from './apt-sources.ts';

const targets = [
  'Packages\tDebian\tbookworm\thttp://mirror.example/debian/\tbookworm\tmain',
  'Translations\tDebian\tbookworm\thttp://mirror.example/debian/\tbookworm\tmain',
  'Packages\tDebian\tbookworm-security\thttp://mirror.example/security/\tbookworm-security\tmain',
  'Packages\tDebian\ttrixie\thttp://mirror.example/debian/\ttrixie\tmain',
  'Packages\tSomebody\tbookworm\thttp://vendor.example/\tbookworm\tstable',
  '',
].join('\n');

describe('the sources for the box', () => {
  test('are those of Debian, of the release asked for and its updates', () => {
    expect(debianSources(targets, 'bookworm')).toEqual([
      'deb http://mirror.example/debian/ bookworm main',
      'deb http://mirror.example/security/ bookworm-security main',
    ]);
  });

  test('are none on a machine of another release', () => {
    expect(debianSources(targets, 'bullseye')).toEqual([]);
  });
});

test('apt is told the proxy and the checks of the machine, and nothing about its indexes', () => {
  const dump = [
    'Acquire::http::Proxy "http://proxy.example:3128";',
    'Acquire::Check-Date "false";',
    'Acquire::GzipIndexes "true";',
    'Acquire::IndexTargets::deb::Packages::Optional "0";',
  ].join('\n');
  expect(transportOptions(dump)).toEqual([
    'Acquire::http::Proxy "http://proxy.example:3128"',
    'Acquire::Check-Date "false"',
  ]);
});
