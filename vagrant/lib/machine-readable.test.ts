import { describe, expect, test } from 'vitest';
import { errorOf, type MachineReadableLine, parseLine, progressOf, statesOf } from './machine-readable.ts';

const read = (text: string): readonly MachineReadableLine[] =>
  text.split('\n').flatMap((line) => parseLine(line) ?? []);

describe('a machine-readable line', () => {
  test('has a target, a type and data, in which commas and line ends are written out', () => {
    expect(parseLine('1700000000,host1,ssh-config,Host host1\\n  Port 22%!(VAGRANT_COMMA) no\\r')).toEqual({
      target: 'host1',
      type: 'ssh-config',
      data: ['Host host1\n  Port 22, no\r'],
    });
  });

  test('without a target concerns all machines', () => {
    expect(parseLine('1700000000,,ui,info,text')?.target).toBeUndefined();
  });

  test.each(['', 'warning: a word of Ruby, and more', '==> host1: Booting, please wait', '1700000000,host1'])(
    'is not %j',
    (line) => expect(parseLine(line)).toBeUndefined(),
  );
});

test('the states of machines are read from a status', () => {
  const lines = read(
    [
      '1700000000,target,metadata,provider,libvirt',
      '1700000000,target,provider-name,libvirt',
      '1700000000,target,state,running',
      '1700000000,target,state-human-short,running',
      '1700000000,host1,state,not_created',
      '1700000000,,ui,info,Current machine states:\\n\\ntarget running (libvirt)',
    ].join('\n'),
  );
  expect([...statesOf(lines)]).toEqual([
    ['target', 'running'],
    ['host1', 'not_created'],
  ]);
});

describe('the error that Vagrant ended with', () => {
  test('has its class and its message', () => {
    const lines = read(
      '1700000000,,ui,info,before\n1700000000,,error-exit,Vagrant::Errors::BoxNotFound,No box%!(VAGRANT_COMMA) none',
    );
    expect(errorOf(lines)).toEqual({ kind: 'Vagrant::Errors::BoxNotFound', message: 'No box, none' });
  });

  test('is none when it ended well', () => {
    expect(errorOf(read('1700000000,,ui,info,fine'))).toBeUndefined();
  });
});

describe('progress', () => {
  const progress = (line: string) => {
    const parsed = parseLine(line);
    return parsed && progressOf(parsed);
  };

  test("names the machine once, whether Vagrant put it into the line's target or into its text", () => {
    const expected = { machine: 'host1', text: 'Starting domain.' };
    expect(progress('1700000000,host1,ui,info,Starting domain.')).toEqual(expected);
    expect(progress('1700000000,host1,ui,output,==> host1: Starting domain.')).toEqual(expected);
    expect(progress('1700000000,,ui,info,    host1: Starting domain.')).toEqual(expected);
  });

  test('leaves a colon in the text alone', () => {
    expect(progress('1700000000,host1,ui,detail,SSH address: 10.90.0.11:22')).toEqual({
      machine: 'host1',
      text: 'SSH address: 10.90.0.11:22',
    });
  });

  test.each(['1700000000,host1,state,running', '1700000000,host1,ui,info,', '1700000000,host1,ui,info, '])(
    'is not %j',
    (line) => expect(progress(line)).toBeUndefined(),
  );
});
