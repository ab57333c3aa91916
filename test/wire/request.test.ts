import { spawn } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { CallFailed, entryFile, readAnswer, runProcess, volumePluginFolder } from '../support/xapi.ts';

const query = entryFile(volumePluginFolder, 'Plugin.query');

async function failure(input: string | Uint8Array): Promise<CallFailed> {
  const ended = await runProcess(query, ['--json'], input);
  expect(ended).toMatchObject({ exitCode: 1, stderr: '' });
  try {
    readAnswer('Plugin.query', ended);
  } catch (error) {
    if (error instanceof CallFailed) return error;
    throw error;
  }
  throw new Error('the call did not fail');
}

describe('a request', () => {
  it.each([
    ['on one line, as xapi sends it', '{"dbg":"d"}'],
    ['with a line end', '{"dbg":"d"}\n'],
    ['over several lines', '{\n  "dbg":\n  "d"\n}\n'],
    ['with more parameters than the call has', '{"json":true,"dbg":"d","other":[1,{}]}'],
    ['with a long dbg', JSON.stringify({ dbg: 'd'.repeat(200_000) })],
  ])('is read %s', async (_what, input) => {
    expect(readAnswer('Plugin.query', await runProcess(query, ['--json'], input)).plugin).toBe('gfs2');
  });

  it('is answered at its line end, without waiting for the end of the input', async () => {
    const child = spawn(query, ['--json']);
    const answered = new Promise<string>((resolve) =>
      child.stdout.once('data', (data: Buffer) => resolve(`${data}`)),
    );
    child.stdin.write('{"dbg":"d"}\n');
    expect(JSON.parse(await answered)).toMatchObject({ plugin: 'gfs2' });
    child.stdin.end();
  });

  it.each([
    ['that is empty', '', 'is empty'],
    ['that is cut short', '{"dbg":"d"', 'is not valid JSON'],
    ['that is followed by another', '{"dbg":"d"}{}', 'is not valid JSON'],
    ['that is not UTF-8', Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d), 'is not UTF-8'],
    ['that is nested without end', '['.repeat(1_000_000), 'is not'],
    ['that is a list', '["d"]', 'must be one JSON object'],
    ['that is null', 'null', 'must be one JSON object'],
    ['that is longer than any request', `{"dbg":"${'d'.repeat(5_000_000)}"}`, 'is longer than'],
  ])('%s is refused in words', async (_what, input, why) => {
    const { code, params } = await failure(input);
    expect(code).toBe('SR_BACKEND_FAILURE');
    expect(params[0]).toBe('BadRequest');
    expect(params[1]).toContain(why);
  });

  it.each([
    ['a missing parameter', '{}', 'parameter dbg must be a string, but is missing'],
    ['null for a parameter', '{"dbg":null}', 'parameter dbg must be a string, but is null'],
    ['a parameter of another type', '{"dbg":["x"]}', 'parameter dbg must be a string, but is a list of 1'],
  ])('with %s names it', async (_what, input, why) => {
    expect((await failure(input)).params).toEqual(['UnmarshalException', why]);
  });

  it('never shows up in an error, for it may hold a secret', async () => {
    const { params, sentence } = await failure('{"dbg":"d","chappassword":"S3cretMarker"');
    expect([...params, sentence].join()).not.toContain('S3cret');
  });

  it('on a closed standard input is one that is empty', async () => {
    const ended = await runProcess('bash', ['-c', '"$1" --json <&-', 'bash', query], '');
    expect(() => readAnswer('Plugin.query', ended)).toThrow('is empty');
  });
});

describe('an answer', () => {
  it('that standard output does not take is no success', async () => {
    const command = '"$1" --json >/dev/full';
    const ended = await runProcess('bash', ['-c', command, 'bash', query], '{"dbg":"d"}');
    expect(ended.exitCode).toBe(1);
    expect(ended.stderr).toContain('could not be written to standard output');
  });
});
