import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readInitiatorName } from './initiator-name.ts';

const folder = mkdtempSync(join(tmpdir(), 'initiator-name-'));
const file = join(folder, 'initiatorname.iscsi');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function read(text: string): string {
  writeFileSync(file, text);
  return readInitiatorName(file);
}

describe("the host's iSCSI name", () => {
  it.each([
    ['InitiatorName=iqn.2026-11.org.example:h', 'as it is'],
    ['# InitiatorName=iqn.x:old\n\n InitiatorName = iqn.2026-11.org.example:h \t\r\n', 'without white space'],
    ['\ufeffInitiatorName=iqn.2026-11.org.example:h\nInitiatorAlias=h\n', 'behind a byte order mark'],
  ])('is read from %j (%s)', (text) => {
    expect(read(text)).toBe('iqn.2026-11.org.example:h');
  });

  it.each([
    ['GenerateName=yes\n', 'has no line InitiatorName=...'],
    ['InitiatorName=\nInitiatorAlias=h\n', 'has no line InitiatorName=...'],
    ['InitiatorName=iqn.x:a b\n', 'has a blank in it'],
  ])('is missing from %j, and one sentence says so', (text, why) => {
    expect(() => read(text)).toThrow(why);
  });

  it('is missing where there is no file', () => {
    expect(() => readInitiatorName(join(folder, 'none'))).toThrow(`there is no file ${folder}/none`);
    expect(() => readInitiatorName(folder)).toThrow('cannot be read (EISDIR)');
  });
});
