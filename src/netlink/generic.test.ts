import { constants } from 'node:os';
import { expect, it } from 'vitest';
import { NetlinkRefusal, withFamily } from './generic.ts';

const getFamily = 3;
const familyId = 1;
const familyName = 2;

it('asks the kernel, and reads what it answers', () => {
  const asked = { type: familyName, value: Buffer.from('nlctrl\0') };
  const answer = withFamily('nlctrl', (control) => control.execute(getFamily, [asked]));
  expect(answer.find(({ type }) => type === familyId)?.value.readUInt16LE()).toBe(0x10);
  expect(answer.find(({ type }) => type === familyName)?.value.toString()).toBe('nlctrl\0');
});

it('says what the kernel refused', () => {
  let failure: unknown;
  try {
    withFamily('no-such-family', () => {});
  } catch (error) {
    failure = error;
  }
  expect(failure).toBeInstanceOf(NetlinkRefusal);
  expect(failure).toMatchObject({
    errno: constants.errno.ENOENT,
    message: 'the kernel refused it (ENOENT)',
  });
});
