import { setTimeout as pause } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { type ConnectionOptions, discoverTargets, IscsiError, login, type Session } from '../lib/index.ts';
import { type FakePeer, FakeTarget, OPCODE, type Pdu, pdu } from './fake-target.ts';
import { descriptors, expectNoLeak, failure, INITIATOR } from './helpers.ts';
import { freePort } from './tgtd.ts';

const TARGET = 'iqn.2026-01.test.fake:target';
const options = (
  fake: { host: string; port: number },
  timeout = 400,
): ConnectionOptions & { target: string } => ({
  portal: { host: fake.host, port: fake.port },
  initiatorName: INITIATOR,
  target: TARGET,
  timeout,
});

let before = 0;
beforeEach(() => {
  before = descriptors();
});

/** Logs in to a fake that hands every command to `serve`, and does `use` with the session. */
async function session<T>(
  serve: (peer: FakePeer, request: Pdu) => unknown,
  use: (session: Session, fake: FakeTarget) => Promise<T>,
  { timeout = 400, text = '' } = {},
): Promise<T> {
  await using fake = await FakeTarget.start(async (peer) => {
    await peer.login(text);
    for (let request = await peer.next(); request !== undefined; request = await peer.next()) {
      if (request.opcode === 0x06) peer.answer(request, OPCODE.logoutResponse);
      else await serve(peer, request);
    }
  });
  await using session = await login(options(fake, timeout));
  return await use(session, fake);
}

describe('no way to the portal', () => {
  test('a name that does not exist', async () => {
    const error = await failure(
      discoverTargets(options({ host: 'no-such-host.invalid', port: 3260 }, 5_000)),
    );
    expect(error).toMatchObject({ kind: 'hostname', step: 'resolve' });
    expect(error.message).toContain('no-such-host.invalid:3260');
  });

  test.each(['127.0.0.1', '::1'])('nobody listens on %s', async (host) => {
    const port = await freePort(host);
    const error = await failure(discoverTargets(options({ host, port })));
    expect(error).toMatchObject({ kind: 'refused', step: 'connect', portal: { host, port } });
    expect(error.message).toContain(host === '::1' ? `[::1]:${port}` : `127.0.0.1:${port}`);
    await expectNoLeak(before);
  });

  test('an address without a route', async () => {
    // Reserved for documentation and for the future: no route, or forbidden.
    const error = await failure(discoverTargets(options({ host: '255.255.255.255', port: 3260 })));
    expect(error.kind).toBe('unreachable');
    await expectNoLeak(before);
  });

  test('a link-local address without its interface', async () => {
    const error = await failure(discoverTargets(options({ host: 'fe80::1', port: 3260 })));
    expect(error.message).toContain('fe80::1%eth0');
  });

  test.each([
    [{ host: '', port: 3260 }],
    [{ host: '[::1]', port: 3260 }],
    [{ host: '127.0.0.1', port: 0 }],
    [{ host: '127.0.0.1', port: 65536 }],
  ])('%j is no portal', async (portal) => {
    const error = await discoverTargets(options(portal)).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'IscsiError', kind: 'invalid-argument' });
  });

  test.each(['', 'iqn.a b', 'iqn.x:y\n', 'x'.repeat(224)])(
    '%j is no initiator name',
    async (initiatorName) => {
      const error = await failure(
        discoverTargets({ ...options({ host: '127.0.0.1', port: 1 }), initiatorName }),
      );
      expect(error.kind).toBe('invalid-argument');
    },
  );
});

describe('a target that never answers', () => {
  test('the connection', async () => {
    // A listener whose backlog is full accepts nobody.
    await using fake = await FakeTarget.start(() => {});
    const error = await failure(discoverTargets(options(fake, 200)));
    expect(error).toMatchObject({ kind: 'timeout', step: 'login' });
    expect(error.message).toMatch(/^Cannot log in for discovery at portal .*: no answer within 0\.2 s$/);
    await expectNoLeak(before + 2);
  });

  test('the list of targets', async () => {
    await using fake = await FakeTarget.start((peer) => peer.login());
    expect(await failure(discoverTargets(options(fake, 200)))).toMatchObject({
      kind: 'timeout',
      step: 'discovery',
    });
  });

  test('a command: the command is given up, the session goes on', async () => {
    let asked = 0;
    await session(
      async (peer, request) => {
        if (asked++ > 0) return peer.succeed(request, 'later');
        await pause(600);
        peer.succeed(request, 'too late');
      },
      async (session) => {
        const error = await failure(session.command(1, new Uint8Array(6), { dataIn: 64 }));
        expect(error).toMatchObject({ kind: 'timeout', step: 'command', target: TARGET, lun: 1 });
        expect(error.message).toContain(`Cannot run TEST UNIT READY on LUN 1 of ${TARGET} at portal`);
        await pause(350);
        expect(Buffer.from(await session.command(1, new Uint8Array(6), { dataIn: 64 })).toString()).toBe(
          'later',
        );
      },
    );
    await expectNoLeak(before);
  });

  test('costs no CPU time while we wait', async () => {
    await session(
      () => {},
      async (session, fake) => {
        await using silent = await FakeTarget.start(() => {});
        await using gone = await FakeTarget.start(async (peer) => {
          await peer.login();
          peer.socket.end();
        });
        const hungUp = await login(options(gone, 5_000));
        const waiting = [
          failure(session.reportLuns()),
          failure(login(options(silent, 5_000))),
          failure(login(options(fake, 5_000)).then((other) => other.reportLuns())),
        ];
        await pause(300);
        const start = process.cpuUsage();
        await pause(4_400);
        const { user, system } = process.cpuUsage(start);
        expect((user + system) / 1000).toBeLessThan(50);
        for (const error of await Promise.all(waiting)) expect(error.kind).toBe('timeout');
        expect((await failure(hungUp.reportLuns())).kind).toBe('closed');
        await hungUp.close();
      },
      { timeout: 5_000 },
    );
    await expectNoLeak(before);
  });

  test('a logout: closing takes two seconds at most, and needs nobody', async () => {
    await using fake = await FakeTarget.start((peer) => peer.login());
    const session = await login(options(fake));
    await Promise.all([session.close(), session.close()]);
    await session.close();
    expect((await failure(session.reportLuns())).kind).toBe('closed');
    await fake.idle();
  });
});

describe('a target that ends the connection', () => {
  test.each<[string, (peer: FakePeer) => unknown]>([
    ['at once', (peer) => peer.socket.end()],
    ['with a reset', (peer) => peer.socket.resetAndDestroy()],
    ['after the login request', (peer) => peer.next().then(() => peer.socket.end())],
    ['inside a header', (peer) => peer.next().then(() => peer.socket.end(Buffer.alloc(20, 0x23)))],
    [
      'inside the data of an answer, by a reset',
      async (peer) => {
        const request = await peer.next();
        const answer = pdu(OPCODE.loginResponse, { tag: request?.tag ?? 0, data: 'x'.repeat(100) });
        peer.send(answer.subarray(0, 90));
        await pause(30);
        peer.socket.resetAndDestroy();
      },
    ],
  ])('%s', async (_, script) => {
    await using fake = await FakeTarget.start(script);
    for (const error of [
      await failure(discoverTargets(options(fake))),
      await failure(login(options(fake))),
    ]) {
      expect(error.kind).toBe('closed');
      expect(error.step).toMatch(/connect|login/);
    }
    await fake.idle();
  });

  test('with commands under way: each fails once, and later ones too', async () => {
    let answered = false;
    await session(
      (peer, request) => {
        if (answered) return;
        answered = true;
        const half = pdu(OPCODE.dataIn, { flags: 0x81, tag: request.tag, data: new Uint8Array(512) });
        peer.send(half.subarray(0, 300));
        setTimeout(() => peer.socket.resetAndDestroy(), 30);
      },
      async (session) => {
        const many = Array.from({ length: 50 }, () => failure(session.read(1, 0n, 1, 512)));
        for (const error of await Promise.all(many))
          expect(error).toMatchObject({ kind: 'closed', step: 'command' });
        expect(await failure(session.inquiry(1))).toMatchObject({ kind: 'closed', step: 'command' });
      },
    );
    await expectNoLeak(before);
  });

  test.each([1, 2, 3, 4])('and says so by event %d', async (event) => {
    await session(
      (peer) => peer.send(pdu(OPCODE.async, { bytes: { 36: event } })),
      async (session) => {
        const error = await failure(session.reportLuns());
        expect(error.kind).toBe('closed');
        expect(error.message).toContain(`Cannot run REPORT LUNS on ${TARGET} at portal`);
      },
    );
  });
});

describe('login statuses', () => {
  test.each([
    [0x0201, 'authentication'],
    [0x0202, 'authentication'],
    [0x0203, 'no-such-target'],
    [0x0204, 'no-such-target'],
    [0x0206, 'target-error'],
    [0x02ff, 'target-error'],
    [0x0300, 'target-error'],
    [0x0301, 'target-error'],
    [0x0302, 'target-error'],
    [0x0900, 'protocol'],
  ])('%i is %s', async (status, kind) => {
    await using fake = await FakeTarget.start(async (peer) => {
      const request = await peer.next();
      if (request)
        peer.answer(request, OPCODE.loginResponse, { bytes: { 36: status >> 8, 37: status & 255 } });
    });
    const error = await failure(login(options(fake)));
    expect(error).toMatchObject({ kind, step: 'login', target: TARGET });
    expect(error.message).toContain(TARGET);
    await fake.idle();
  });
});

describe('redirections', () => {
  const redirector = (address: () => string, status = 0x0101, host = '127.0.0.1') =>
    FakeTarget.start(async (peer) => {
      const request = await peer.next();
      if (request === undefined) return;
      const bytes = { 36: status >> 8, 37: status & 255 };
      peer.answer(request, OPCODE.loginResponse, { bytes, data: `TargetAddress=${address()}\0` });
    }, host);
  const accepting = (seen: Buffer[] = []) =>
    FakeTarget.start(async (peer) => {
      const request = await peer.login();
      if (request !== undefined) seen.push(request.data);
      const logout = await peer.next();
      if (logout !== undefined) peer.answer(logout, OPCODE.logoutResponse);
    });

  test.each([0x0101, 0x0102])('%i is followed, with the name and in view', async (status) => {
    const seen: Buffer[] = [];
    await using there = await accepting(seen);
    await using here = await redirector(() => `127.0.0.1:${there.port}`, status);
    await using session = await login(options(here));
    expect(session.portal).toEqual(there.portal);
    expect(session.redirects).toEqual([there.portal]);
    expect(session.target).toBe(TARGET);
    expect(seen[0]?.toString('latin1')).toContain(`TargetName=${TARGET}\0`);
  });

  test('in a circle is its own error', async () => {
    await using self: FakeTarget = await redirector(() => `127.0.0.1:${self.port}`);
    const error = await failure(login(options(self)));
    expect(error).toMatchObject({ kind: 'redirect-loop', step: 'login' });
    expect(self.connections).toBe(1);
  });

  test('between two is one as well', async () => {
    await using one: FakeTarget = await redirector(() => `127.0.0.1:${two.port},1`);
    await using two: FakeTarget = await redirector(() => `127.0.0.1:${one.port},1`);
    expect((await failure(login(options(one)))).kind).toBe('redirect-loop');
    expect([one.connections, two.connections]).toEqual([1, 1]);
  });

  test('without end are followed four times', async () => {
    const chain: FakeTarget[] = [];
    for (let i = 0; i < 7; i++) {
      const next = chain.at(-1);
      chain.push(await redirector(() => `127.0.0.1:${next?.port ?? 1}`));
    }
    const first = chain.at(-1);
    expect((await failure(login(options(first ?? { host: '', port: 0 })))).kind).toBe('redirect-loop');
    expect(chain.map(({ connections }) => connections)).toEqual([0, 0, 1, 1, 1, 1, 1]);
    for (const fake of chain) await fake[Symbol.asyncDispose]();
  });

  test('to IPv6 without a port go to 3260', async () => {
    await using here = await redirector(() => '[::1]');
    const error = await login(options(here)).then(
      (session) => session.close().then(() => session.portal),
      (reason: IscsiError) => reason.portal,
    );
    expect(error).toEqual({ host: '::1', port: 3260 });
  });

  test.each(['', 'not an address', '[::1'])('to %j are a fault of the target', async (address) => {
    await using here = await redirector(() => address);
    expect((await failure(login(options(here)))).kind).toBe('protocol');
  });
});

describe('answers that are none', () => {
  const garbage: [string, (peer: FakePeer, request: Pdu) => unknown][] = [
    [
      'text of another protocol',
      (peer) => peer.send(Buffer.from(`HTTP/1.1 400 Bad Request\r\n\r\n${'x'.repeat(99)}`)),
    ],
    ['zeros', (peer) => peer.send(Buffer.alloc(4096))],
    ['ones', (peer) => peer.send(Buffer.alloc(4096, 0xff))],
    ['another opcode', (peer, { tag }) => peer.send(pdu(0x1f, { tag }))],
    ['another tag', (peer, { tag }) => peer.send(pdu(OPCODE.loginResponse, { tag: tag + 1 }))],
    ['data under the tag of the login', (peer, { tag }) => peer.send(pdu(OPCODE.dataIn, { tag, data: 'x' }))],
    [
      'a transfer for the login',
      (peer, { tag }) => peer.send(pdu(OPCODE.readyToTransfer, { tag, words: { 44: 9 } })),
    ],
    ['a ping before the login', (peer) => peer.send(pdu(OPCODE.nopIn))],
    [
      'a header extension',
      (peer, { tag }) => peer.send(pdu(OPCODE.loginResponse, { tag, bytes: { 4: 255 } })),
    ],
    [
      '16 MiB of text',
      (peer, { tag }) => peer.send(pdu(OPCODE.loginResponse, { tag, bytes: { 5: 255, 6: 255 } })),
    ],
    ['text without an end', (peer, request) => peer.acceptLogin(request, 'MaxBurstLength=262144')],
    ['text without keys', (peer, request) => peer.acceptLogin(request, 'no key here\0')],
    ['a length of 0', (peer, request) => peer.acceptLogin(request, 'MaxRecvDataSegmentLength=0\0')],
    ['a negative length', (peer, request) => peer.acceptLogin(request, 'MaxRecvDataSegmentLength=-1\0')],
    [
      'a length beyond all',
      (peer, request) => peer.acceptLogin(request, 'FirstBurstLength=99999999999999\0'),
    ],
    ['a data digest', (peer, request) => peer.acceptLogin(request, 'DataDigest=CRC32C\0')],
    ['a reject', (peer, { header }) => peer.send(pdu(OPCODE.reject, { bytes: { 2: 4 }, data: header }))],
    ['a reject of nothing', (peer) => peer.send(pdu(OPCODE.reject, { bytes: { 2: 9 } }))],
    [
      'a text answer over several PDUs',
      (peer, r) => peer.answer(r, OPCODE.loginResponse, { flags: 0x40, data: 'a=' }),
    ],
  ];

  test.each(garbage)('to a login: %s', async (_, script) => {
    await using fake = await FakeTarget.start(async (peer) => {
      const request = await peer.next();
      if (request !== undefined) await script(peer, request);
    });
    const errors = [await failure(login(options(fake))), await failure(discoverTargets(options(fake)))];
    for (const error of errors) expect(error.kind).toBe('protocol');
    await fake.idle();
  });

  test('to a login that never gets anywhere', async () => {
    let answers = 0;
    await using fake = await FakeTarget.start(async (peer) => {
      for (let request = await peer.next(); request !== undefined; request = await peer.next()) {
        answers++;
        peer.answer(request, OPCODE.loginResponse, { flags: (request.header[1] ?? 0) & 0x0c });
      }
    });
    expect((await failure(login(options(fake, 5_000)))).kind).toBe('protocol');
    expect(answers).toBeLessThan(20);
  });

  const discovery = (script: (peer: FakePeer, request: Pdu) => unknown) =>
    FakeTarget.start(async (peer) => {
      await peer.login();
      for (let request = await peer.next(); request !== undefined; request = await peer.next()) {
        if (request.opcode === 0x06) peer.answer(request, OPCODE.logoutResponse);
        else await script(peer, request);
      }
    });

  test.each<[string, (peer: FakePeer, request: Pdu) => unknown]>([
    ['without an end', (peer, r) => peer.answer(r, OPCODE.textResponse, { data: 'TargetName=iqn.x' })],
    [
      'of addresses only',
      (peer, r) => peer.answer(r, OPCODE.textResponse, { data: 'TargetAddress=1.2.3.4:1,1\0' }),
    ],
    ['of no keys', (peer, r) => peer.answer(r, OPCODE.textResponse, { data: 'hello\0' })],
    ['broken off', (peer, r) => peer.answer(r, OPCODE.textResponse, { flags: 0, words: { 20: 0xffffffff } })],
    ['for another request', (peer, { tag }) => peer.send(pdu(OPCODE.textResponse, { tag: tag + 5 }))],
    ['as SCSI data', (peer, { tag }) => peer.send(pdu(OPCODE.dataIn, { tag, data: 'x' }))],
    ['as a SCSI response', (peer, { tag }) => peer.send(pdu(OPCODE.scsiResponse, { tag }))],
    ['as a transfer', (peer, { tag }) => peer.send(pdu(OPCODE.readyToTransfer, { tag, words: { 44: 1 } }))],
    [
      'without end, in parts',
      (peer, r) =>
        peer.answer(r, OPCODE.textResponse, { flags: 0x40, words: { 20: 7 }, data: 'TargetName=iqn.x\0' }),
    ],
    [
      'without end, in empty parts',
      (peer, r) => peer.answer(r, OPCODE.textResponse, { flags: 0, words: { 20: 7 } }),
    ],
  ])('to SendTargets: a list %s', async (_, script) => {
    await using fake = await discovery(script);
    const error = await failure(discoverTargets(options(fake, 5_000)));
    expect(error).toMatchObject({ kind: 'protocol', step: 'discovery' });
    await fake.idle();
  });

  test('a list in parts is put together', async () => {
    const parts = ['TargetName=iqn.a\0TargetAdd', 'ress=10.0.0.1:3260,1\0', '', 'TargetName=iqn.b\0'];
    const asked: number[] = [];
    await using fake = await discovery((peer, request) => {
      asked.push(request.header.readUInt32BE(20));
      const last = asked.length === parts.length;
      const words = { 20: last ? 0xffffffff : asked.length };
      peer.answer(request, OPCODE.textResponse, {
        flags: last ? 0x80 : 0x40,
        words,
        data: parts[asked.length - 1] ?? '',
      });
    });
    expect(await discoverTargets(options(fake))).toEqual([
      { name: 'iqn.a', portals: [{ host: '10.0.0.1', port: 3260, tpgt: 1, linkLocal: false }] },
      { name: 'iqn.b', portals: [{ ...fake.portal, tpgt: 1, linkLocal: false }] },
    ]);
    expect(asked).toEqual([0xffffffff, 1, 2, 3]);
  });

  test('an empty list is empty', async () => {
    await using fake = await discovery((peer, request) => peer.answer(request, OPCODE.textResponse));
    expect(await discoverTargets(options(fake))).toEqual([]);
  });

  test.each<[string, (peer: FakePeer, request: Pdu) => unknown]>([
    ['data beyond what was asked for', (peer, r) => peer.succeed(r, new Uint8Array(65))],
    [
      'data at another offset',
      (peer, r) => peer.answer(r, OPCODE.dataIn, { flags: 0x81, words: { 40: 4 }, data: 'xy' }),
    ],
    [
      'data at a huge offset',
      (p, r) => p.answer(r, OPCODE.dataIn, { flags: 1, words: { 40: 0xfffffff0 }, data: 'xy' }),
    ],
    [
      'data out of order',
      (peer, r) => peer.answer(r, OPCODE.dataIn, { flags: 0x81, words: { 36: 3 }, data: 'xy' }),
    ],
    ['a status in the middle', (peer, r) => peer.answer(r, OPCODE.dataIn, { flags: 0x01, data: 'xy' })],
    [
      'data for another command',
      (peer, { tag }) => peer.send(pdu(OPCODE.dataIn, { tag: tag + 1, flags: 0x81 })),
    ],
    [
      'a transfer for a read',
      (peer, r) => peer.answer(r, OPCODE.readyToTransfer, { words: { 20: 1, 44: 8 } }),
    ],
    ['a login response', (peer, r) => peer.answer(r, OPCODE.loginResponse)],
    ['a logout response', (peer, r) => peer.answer(r, OPCODE.logoutResponse)],
    ['an answer to a ping', (peer, r) => peer.answer(r, OPCODE.nopIn)],
    ['a text response', (peer, r) => peer.answer(r, OPCODE.textResponse)],
    ['a reject', (peer, { header }) => peer.send(pdu(OPCODE.reject, { bytes: { 2: 5 }, data: header }))],
    ['an event of its own', (peer) => peer.send(pdu(OPCODE.async, { bytes: { 36: 99 } }))],
    ['an answer twice', (peer, r) => [peer.succeed(r, 'x'), peer.succeed(r, 'x')]],
    [
      'pings without end',
      (peer) => {
        for (let i = 0; i < 2000; i++) peer.send(pdu(OPCODE.nopIn, { words: { 20: i } }));
      },
    ],
  ])('to a command: %s', async (name, serve) => {
    await session(serve, async (session) => {
      const first = session.command(1, new Uint8Array(6), { dataIn: 64 });
      if (name === 'an answer twice') {
        await first;
        await pause(50);
        expect((await failure(session.inquiry(1))).message).toContain('not sent');
      } else {
        expect((await failure(first)).kind).toBe('protocol');
      }
    });
    await expectNoLeak(before);
  });

  test.each<[string, Record<number, number>]>([
    ['more than there is', { 40: 0, 44: 8193 }],
    ['beyond the end', { 40: 8192, 44: 1 }],
    ['4 GiB', { 40: 0, 44: 0xffffffff }],
    ['at an offset that wraps', { 40: 0xfffffff0, 44: 0x20 }],
    ['nothing', { 40: 0, 44: 0 }],
    ['without a tag', { 20: 0xffffffff, 40: 0, 44: 8 }],
  ])('to a write: a transfer of %s', async (_, words) => {
    await session(
      (peer, request) => {
        if (request.opcode === 1)
          peer.answer(request, OPCODE.readyToTransfer, { words: { 20: 1, ...words } });
      },
      async (session) => {
        expect((await failure(session.write(1, 0n, new Uint8Array(8192), 512))).kind).toBe('protocol');
      },
      { text: 'InitialR2T=Yes\0ImmediateData=No\0' },
    );
  });

  test('to a write: an answer before the data, which libiscsi would read after it was freed', async () => {
    await session(
      (peer, request) => {
        if (request.opcode !== 1) return;
        const length = request.header.readUInt32BE(20);
        peer.answer(request, OPCODE.readyToTransfer, { words: { 20: 1, 24: 0, 40: 0, 44: length } });
        peer.answer(request, OPCODE.scsiResponse);
      },
      async (session) => {
        for (let i = 0; i < 5; i++) await session.write(1, 0n, new Uint8Array(4 << 20), 512);
      },
      { text: 'InitialR2T=Yes\0ImmediateData=No\0MaxRecvDataSegmentLength=512\0', timeout: 5_000 },
    );
  });

  test.each([0, 1, 2, 3, 4, 10, 20])(
    'sense data of %d bytes, which libiscsi would read past',
    async (length) => {
      await session(
        (peer, r) => {
          const data = Buffer.from([0, 18, 0x72, 5, 0x25, 0, 0, 0, 0, 255, ...Array(20).fill(0x80)]).subarray(
            0,
            length,
          );
          peer.answer(r, OPCODE.scsiResponse, { bytes: { 3: 2 }, data });
        },
        async (session) => {
          await expect(session.command(1, new Uint8Array(6))).rejects.toMatchObject({
            name: 'ScsiError',
            status: 2,
          });
        },
      );
    },
  );

  test.each([0x08, 0x18, 0x28, 0x40, 0x77])(
    'status %i is an error of the command, not of the session',
    async (status) => {
      await session(
        (peer, r) =>
          r.header[32] === 0
            ? peer.answer(r, OPCODE.scsiResponse, { bytes: { 3: status } })
            : peer.succeed(r, 'x'),
        async (session) => {
          await expect(session.command(1, new Uint8Array(6))).rejects.toMatchObject({
            name: 'ScsiError',
            status,
          });
          expect(await session.command(1, Buffer.from('120000000400', 'hex'), { dataIn: 4 })).toHaveLength(1);
        },
      );
    },
  );

  test('a target failure is one of the target', async () => {
    await session(
      (peer, r) => peer.answer(r, OPCODE.scsiResponse, { bytes: { 2: 1 } }),
      async (session) => expect((await failure(session.testUnitReady(1))).kind).toBe('target-error'),
    );
  });

  test('pings are answered', async () => {
    let pongs = 0;
    await session(
      (peer, request) => {
        if (request.opcode === 0) {
          pongs++;
          return;
        }
        for (let i = 0; i < 20; i++) peer.send(pdu(OPCODE.nopIn, { words: { 20: i } }));
        peer.succeed(request, 'x');
      },
      async (session) => {
        await session.command(1, new Uint8Array(6), { dataIn: 4 });
        for (let i = 0; i < 50 && pongs < 20; i++) await pause(10);
        expect(pongs).toBe(20);
      },
    );
  });
});

describe('header digests', () => {
  test('a target that does not answer the offer gets none', async () => {
    await session(
      (peer, request) => peer.succeed(request, 'fine'),
      async (session) => expect(await session.command(1, new Uint8Array(6), { dataIn: 4 })).toHaveLength(4),
    );
  });

  test('a wrong digest ends the session', async () => {
    await session(
      (peer, { tag }) =>
        peer.send(Buffer.concat([pdu(OPCODE.scsiResponse, { tag }), Buffer.from('0badc0de', 'hex')])),
      async (session) => {
        const error = await failure(session.testUnitReady(1));
        expect(error.kind).toBe('protocol');
        expect(error.message).toContain('digest');
      },
      { text: 'HeaderDigest=CRC32C\0' },
    );
  });
});

describe('commands', () => {
  test('go on after unit attentions, but not for ever', async () => {
    let attentions = 3;
    await session(
      (peer, r) => (attentions-- > 0 ? peer.refuse(r, 6, 0x29) : peer.answer(r, OPCODE.scsiResponse)),
      async (session) => {
        await session.testUnitReady(1);
        attentions = 2;
        await session.write(1, 0n, new Uint8Array(512), 512);
        attentions = 1_000;
        await expect(session.testUnitReady(1)).rejects.toThrow('Unit Attention');
        expect(attentions).toBeGreaterThan(980);
      },
    );
  });

  test('find a busy unit ready later', async () => {
    let busy = 2;
    await session(
      (peer, r) => peer.answer(r, OPCODE.scsiResponse, { bytes: { 3: busy-- > 0 ? 0x28 : 0 } }),
      (session) => session.testUnitReady(1),
    );
  });

  test('that are optional are asked once and missed quietly', async () => {
    const asked: string[] = [];
    await session(
      (peer, r) => {
        asked.push(r.header.toString('hex', 32, 48));
        if (r.header[32] === 0x25) peer.succeed(r, Buffer.from('0001ffff00000200', 'hex'));
        else peer.refuse(r, 5, r.header[32] === 0x9e ? 0x20 : 0x24);
      },
      async (session) => {
        for (let i = 0; i < 2; i++) {
          expect(await session.blockLimits(1)).toBeUndefined();
          expect(await session.unitSerialNumber(1)).toBeUndefined();
          expect(await session.designators(1)).toEqual([]);
          expect(await session.isWriteProtected(1)).toBeUndefined();
          expect(await session.readCapacity(1)).toMatchObject({ bytes: 67108864n });
        }
      },
    );
    const twice = asked.filter((cdb, i) => asked.indexOf(cdb) !== i);
    expect(twice.map((cdb) => cdb.slice(0, 2))).toEqual(['25']);
  });

  test('that return less than a page or a read should are faults', async () => {
    await session(
      (peer, r) => peer.succeed(r, 'abc'),
      async (session) => {
        expect((await failure(session.read(1, 0n, 1, 512))).kind).toBe('protocol');
        expect((await failure(session.readCapacity(1))).kind).toBe('protocol');
        expect((await failure(session.vitalProductData(1, 0x83))).kind).toBe('protocol');
        expect((await failure(session.reportLuns())).kind).toBe('protocol');
        expect(await session.inquiry(1)).toMatchObject({ vendor: '' });
      },
    );
  });

  test('carry all eight bytes of a LUN', async () => {
    const seen: string[] = [];
    await session(
      (peer, r) => {
        seen.push(r.header.toString('hex', 8, 16));
        if (r.header[32] === 0xa0) {
          peer.succeed(
            r,
            Buffer.from('0000001000000000 4005000000000000 d200400000000000'.replace(/ /g, ''), 'hex'),
          );
        } else peer.answer(r, OPCODE.scsiResponse);
      },
      async (session) => {
        await session.testUnitReady(5);
        await session.reportLuns();
        for (const lun of [5, 300, 16384, 0xffffff]) await session.testUnitReady(lun);
      },
    );
    expect(seen).toEqual([
      '0005000000000000',
      '0000000000000000',
      '4005000000000000',
      '412c000000000000',
      'd200400000000000',
      'd2ffffff00000000',
    ]);
  });

  test('go out together', async () => {
    let waiting: Pdu[] = [];
    await session(
      (peer, r) => {
        waiting.push(r);
        if (waiting.length < 60) return;
        for (const request of waiting.reverse()) peer.succeed(request, request.header.subarray(34, 36));
        waiting = [];
      },
      async (session) => {
        // Answered only when all 60 have come.
        const all = Array.from({ length: 60 }, (_, i) =>
          session.command(1, Buffer.from([0x12, 0, i, 0, 4, 0]), { dataIn: 4 }),
        );
        for (const [i, data] of (await Promise.all(all)).entries()) expect(data[0]).toBe(i);
      },
      { timeout: 5_000 },
    );
  });
});

describe('an AbortSignal', () => {
  const quiet = (until: number) =>
    FakeTarget.start(async (peer) => {
      let step = 0;
      for (let request = await peer.next(); request !== undefined; request = await peer.next()) {
        if (step++ >= until) continue;
        if (request.opcode === 0x03) peer.acceptLogin(request);
        else if (request.opcode === 0x04) peer.answer(request, OPCODE.textResponse);
        else if (request.opcode === 0x01) peer.succeed(request, Buffer.alloc(8));
      }
    });

  test.each([
    ['before anything', -1, 'connect'],
    ['during the login', 0, 'login'],
    ['during discovery', 1, 'discovery'],
  ])('%s', async (_, until, step) => {
    await using fake = await quiet(Math.max(0, until));
    const controller = new AbortController();
    if (until < 0) controller.abort();
    const pending = failure(discoverTargets({ ...options(fake, 30_000), signal: controller.signal }));
    await pause(50);
    controller.abort();
    expect(await pending).toMatchObject({ kind: 'aborted', step });
    await fake.idle();
  });

  test('while a name is resolved', async () => {
    const controller = new AbortController();
    const portal = { host: 'slow-name.invalid', port: 1 };
    const pending = failure(discoverTargets({ ...options(portal, 30_000), signal: controller.signal }));
    controller.abort();
    expect(await pending).toMatchObject({ kind: 'aborted', step: 'resolve' });
  });

  test('ends every command and the session', async () => {
    await using fake = await quiet(1);
    const controller = new AbortController();
    const session = await login({ ...options(fake, 30_000), signal: controller.signal });
    const pending = Array.from({ length: 200 }, () => failure(session.inquiry(1)));
    await pause(30);
    controller.abort();
    for (const error of await Promise.all(pending))
      expect(error).toMatchObject({ kind: 'aborted', step: 'command' });
    expect((await failure(session.inquiry(1))).kind).toBe('aborted');
    await session.close();
    await fake.idle();
    await expectNoLeak(before + 1);
  });
});

test('all errors are instances of Error with their name', () => {
  const error = new IscsiError('closed', { step: 'command' }, 'x');
  expect(error).toBeInstanceOf(Error);
  expect(`${error}`).toBe('IscsiError: Cannot run a command: x');
});
