import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { describeFailure, type LoginEnd, reach, toLoginError } from './login-failure.ts';

const portal = { address: '10.0.0.1', port: 3260 };
const iqn = 'iqn.2026-11.org.example:pool';
const host = 'iqn.2026-11.org.example:host';
const failure = (end: Partial<LoginEnd>, mutual = false): ReturnType<typeof describeFailure> =>
  describeFailure(
    { iqn, ...(mutual ? { mutualChap: { user: 'array', secret: 'S3cretMarker1' } } : {}) },
    portal,
    host,
    { exitCode: undefined, said: '', reached: 'open', ...end },
  );

describe('a failed login', () => {
  it.each([
    [{ exitCode: 24 }, 'SR_BACKEND_FAILURE_68', host],
    [{ exitCode: 8, reached: 'refused' as const }, 'SR_BACKEND_FAILURE_141', 'refuses connections'],
    [{ reached: 'timeout' as const }, 'SR_BACKEND_FAILURE_141', 'does not answer'],
    [{ reached: 'unreachable' as const }, 'SR_BACKEND_FAILURE_141', 'No route'],
    [{ exitCode: 23, reached: 'hostname' as const }, 'SR_BACKEND_FAILURE_140', 'not known'],
    [{ exitCode: 19 }, 'SR_BACKEND_FAILURE', 'log of the target'],
    [{ exitCode: 20 }, 'SR_BACKEND_FAILURE', 'iscsid does not answer'],
    [{ exitCode: 8, said: 'connection timed out' }, 'SR_BACKEND_FAILURE', 'connection timed out'],
  ])('that ended with %j is %s and says "%s"', (end, code, words) => {
    const error = toLoginError([failure(end)]);
    expect(error).toMatchObject({ code });
    expect(error.message).toContain(words);
  });

  it('with mutual CHAP may be the fault of the target, and shows no secret', () => {
    const { kind, sentence } = failure({ exitCode: 19 }, true);
    expect(kind).toBe('authentication');
    expect(sentence).toContain('incoming_chappassword');
    expect(sentence).not.toContain('S3cretMarker1');
  });

  it('of several portals leads with what says most', () => {
    const failures = [
      failure({ reached: 'unreachable' }),
      failure({ reached: 'timeout' }),
      failure({ exitCode: 24 }),
    ];
    expect(toLoginError(failures)).toMatchObject({
      code: 'SR_BACKEND_FAILURE_68',
      message: expect.stringMatching(/^Portal 10\.0\.0\.1:3260 does not let this host log in .* No route /),
    });
  });

  it('is looked into by a connection', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    expect(await reach({ address: '127.0.0.1', port }, 5_000)).toBe('open');
    await new Promise((resolve) => server.close(resolve));
    expect(await reach({ address: '127.0.0.1', port }, 5_000)).toBe('refused');
  });
});
