import { describe, expect, it } from 'vitest';
import { parseArguments } from './command-line.ts';

describe('the command line for people', () => {
  it('takes positional arguments in the order of the interface', () => {
    expect(
      parseArguments('Volume.create', 'Volume.create', ['d', 'sr', 'n', '', '10485760', 'False']),
    ).toEqual({
      kind: 'arguments',
      parameters: { dbg: 'd', sr: 'sr', name: 'n', description: '', size: 10485760n, sharable: false },
    });
  });

  it('takes objects as options, any number of times, before or behind the rest', () => {
    expect(
      parseArguments('SR.attach', 'SR.attach', [
        'static-vdis',
        '--configuration',
        'ips',
        '[fe80::1%eth1]',
        '--configuration',
        '--odd',
        '-x',
      ]),
    ).toEqual({
      kind: 'arguments',
      parameters: { dbg: 'static-vdis', configuration: { ips: '[fe80::1%eth1]', '--odd': '-x' } },
    });
  });

  it('takes a negative number, and anything behind --', () => {
    expect(parseArguments('V', 'Volume.list_changed_blocks', ['d', 's', 'a', 'b', '0', '-1'])).toMatchObject({
      parameters: { offset: 0n, length: -1n },
    });
    expect(parseArguments('V', 'SR.stat', ['--', '-h', '--json'])).toMatchObject({
      parameters: { dbg: '-h', sr: '--json' },
    });
  });

  it.each([
    ['a missing argument', ['d'], 'the following arguments are required: sr'],
    ['an extra argument', ['d', 's', 'x'], 'unrecognized arguments: x'],
    ['an unknown option', ['d', 's', '--force'], 'unrecognized arguments: --force'],
  ])('says what is wrong: %s', (_what, argv, why) => {
    const request = parseArguments('SR.stat', 'SR.stat', argv);
    expect(request).toEqual({
      kind: 'usage-error',
      text: `usage: SR.stat [-h] [-j] dbg sr\nSR.stat: error: ${why}\n`,
    });
  });

  it.each(['1e9', '1.5', 'ten', '', '0x10'])('refuses %j as a size', (size) => {
    expect(parseArguments('V', 'Volume.resize', ['d', 's', 'k', size])).toMatchObject({
      kind: 'usage-error',
    });
  });

  it('explains itself', () => {
    const help = parseArguments('SR.create', 'SR.create', ['-h']);
    expect(help).toMatchObject({ kind: 'help' });
    expect((help as { text: string }).text).toContain(
      'usage: SR.create [-h] [-j] [--configuration CONFIGURATION CONFIGURATION] dbg uuid name description\n',
    );
  });

  it('is not looked at when xapi speaks', () => {
    expect(parseArguments('SR.ls', 'SR.ls', ['--json'])).toEqual({ kind: 'json' });
    expect(parseArguments('SR.ls', 'SR.ls', ['anything', '-j'])).toEqual({ kind: 'json' });
  });
});
