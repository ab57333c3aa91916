import { describe, expect, it } from 'vitest';
import { parseFileUri } from './file-uri.ts';

describe('parseFileUri', () => {
  it.each([
    ['raw+file:///a/b.raw', '/a/b.raw', false],
    ['raw+file:///run/sr-mount/x/images/1.raw?sharable=true', '/run/sr-mount/x/images/1.raw', true],
    ['raw+file:///a?sharable=false', '/a', false],
    ['raw+file:///a%20b/%C3%A9%25%3F%23.raw', '/a b/é%?#.raw', false],
    ['raw+file:///a/.hidden/..x', '/a/.hidden/..x', false],
  ])('reads %s', (uri, path, sharable) => {
    expect(parseFileUri(uri, 'raw+file')).toEqual({ path, sharable });
  });

  it.each([
    ['', /has no scheme/],
    ['/a/b.raw', /has no scheme/],
    ['qcow2+file:///a', /has the scheme qcow2\+file, which is not raw\+file/],
    ['RAW+FILE:///a', /has the scheme RAW\+FILE/],
    ['raw+file:/a', /has no "\/\/"/],
    ['raw+file:a/b', /has no "\/\/"/],
    ['raw+file://host/a', /has a host name or a relative path/],
    ['raw+file://a', /has a host name or a relative path/],
    ['raw+file://', /has a host name or a relative path/],
    ['raw+file:///', /empty name/],
    ['raw+file:///a//b', /empty name/],
    ['raw+file:///a/../b', /".."/],
    ['raw+file:///a/%2e%2e/b', /".."/],
    ['raw+file:///a%2Fb', /%2F/],
    ['raw+file:///a%00', /NUL/],
    ['raw+file:///a%zz', /"%"/],
    ['raw+file:///a%', /"%"/],
    ['raw+file:///a%ff', /"%"/],
    ['raw+file:///a b', /the character " "/],
    ['raw+file:///é', /the character "é"/],
    ['raw+file:///a\nb', /the character "\\n"/],
    ['raw+file:///a#b', /fragment/],
    ['raw+file:///a?sharable=yes', /the query "sharable=yes"/],
    ['raw+file:///a?', /the query ""/],
    ['raw+file:///a?sharable=true?x', /more than one/],
  ])('refuses %j in words', (uri, words) => {
    expect(() => parseFileUri(uri, 'raw+file')).toThrow(words);
  });
});
