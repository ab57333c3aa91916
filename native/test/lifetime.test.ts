import { execFile } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { login, type Session } from '../lib/index.ts';
import { FakeTarget, OPCODE } from './fake-target.ts';
import { descriptors, expectNoLeak, INITIATOR } from './helpers.ts';

const run = promisify(execFile);
const INDEX = new URL('../lib/index.ts', import.meta.url).href;
const TARGET = 'iqn.2026-01.test.fake:target';

/** A program that leaves everything under way: a login, a discovery, commands, a write. */
const program = (silent: number, served: number, end: string) => `
  import { discoverTargets, login } from '${INDEX}';
  const options = (port) => ({
    portal: { host: '127.0.0.1', port }, initiatorName: '${INITIATOR}', target: '${TARGET}', timeout: 60000,
  });
  const quiet = (promise) => promise.catch(() => {});
  const session = await login(options(${served}));
  quiet(login(options(${silent})));
  quiet(discoverTargets(options(${silent})));
  for (let i = 0; i < 20; i++) quiet(session.inquiry(i));
  quiet(session.write(1, 0n, new Uint8Array(1 << 20), 512));
  await new Promise((resolve) => setTimeout(resolve, 50));
  ${end}
`;

const serving = () =>
  FakeTarget.start(async (peer) => {
    await peer.login('InitialR2T=Yes\0ImmediateData=No\0');
    for (let request = await peer.next(); request !== undefined; request = await peer.next()) {
      if (request.header[32] === 0x8a) {
        peer.answer(request, OPCODE.readyToTransfer, { words: { 20: 1, 24: 0, 44: 4096 } });
      }
    }
  });

test.each([
  [
    'terminated from outside',
    'parentPort.postMessage("ready"); await new Promise(() => setInterval(() => {}, 1000));',
  ],
  ['that ends itself', 'parentPort.postMessage("ready"); process.exit(0);'],
  ['that fails', 'parentPort.postMessage("ready"); throw new Error("on purpose");'],
])('a worker %s with everything under way leaves nothing', async (_, end) => {
  await using silent = await FakeTarget.start(() => {});
  await using served = await serving();
  const code = `import { parentPort } from 'node:worker_threads';${program(silent.port, served.port, end)}`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  const before = descriptors();
  for (let i = 0; i < 3; i++) {
    const worker = new Worker(url);
    worker.on('error', () => {});
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    // Its failure may be heard of before its message.
    await Promise.race([new Promise((resolve) => worker.once('message', resolve)), exited]);
    await worker.terminate();
    await exited;
  }
  await served.idle();
  await silent.idle();
  await expectNoLeak(before);
});

test.each([
  ['process.exit(7)', 7],
  ['setTimeout(() => { process.exitCode = 7; session.close().then(() => process.exit()) }, 10)', 7],
])('a process that ends by %s ends as it says', async (end, code) => {
  await using silent = await FakeTarget.start(() => {});
  await using served = await serving();
  const child = run(process.execPath, ['--input-type=module', '-e', program(silent.port, served.port, end)]);
  await expect(child).rejects.toMatchObject({ code });
  await served.idle();
});

test('a closed session keeps no process alive', async () => {
  await using served = await serving();
  const code = `
    import { login } from '${INDEX}';
    const session = await login({ portal: { host: '127.0.0.1', port: ${served.port} },
      initiatorName: '${INITIATOR}', target: '${TARGET}', timeout: 60000 });
    await session.close();
    console.log('closed');
  `;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code], { timeout: 20_000 });
  expect(stdout).toBe('closed\n');
});

test('two hundred sessions come and go', async () => {
  const before = descriptors();
  await using served = await FakeTarget.start(async (peer) => {
    await peer.login();
    for (let request = await peer.next(); request !== undefined; request = await peer.next()) {
      if (request.opcode === 0x06) peer.answer(request, OPCODE.logoutResponse);
      else peer.succeed(request, Buffer.alloc(36));
    }
  });
  const enter = () => login({ portal: served.portal, initiatorName: INITIATOR, target: TARGET });
  for (let round = 0; round < 10; round++) {
    const sessions: Session[] = await Promise.all(Array.from({ length: 20 }, enter));
    await Promise.all(sessions.map((session) => session.inquiry(1)));
    await Promise.all(sessions.map((session) => session.close()));
  }
  expect(served.connections).toBe(200);
  await expectNoLeak(before + 1);
});

test('every login has an ISID of its own, of the random format', async () => {
  const isids: string[] = [];
  await using served = await FakeTarget.start(async (peer) => {
    const request = await peer.login();
    if (request !== undefined) isids.push(request.header.toString('hex', 8, 14));
    const logout = await peer.next();
    if (logout !== undefined) peer.answer(logout, OPCODE.logoutResponse);
  });
  for (let i = 0; i < 50; i++) {
    const session = await login({ portal: served.portal, initiatorName: INITIATOR, target: TARGET });
    await session.close();
  }
  expect(new Set(isids).size).toBe(50);
  // open-iscsi: 00023d...
  for (const isid of isids) expect(isid).toMatch(/^80/);
});

test('a connection that was never opened can be used and collected', async () => {
  const { addon } = await import('../lib/addon.ts');
  const bytes = (text: string) => Buffer.from(text);
  for (let i = 0; i < 1000; i++) {
    const isid = new Uint8Array(6);
    const connection = new (addon().Connection)(
      bytes(INITIATOR),
      bytes(''),
      isid,
      0,
      bytes(''),
      bytes(''),
      bytes(''),
      bytes(''),
    );
    if (i % 2 === 0) connection.destroy();
    connection.flush();
    connection.sendTargets();
    connection.abandon(1);
    expect(connection.logout()).toBe(false);
  }
  await pause(10);
});
