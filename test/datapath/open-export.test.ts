/** The handshake with QEMU's NBD server, as for the kernel. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { countClients } from '../../datapath/nbd/device.ts';
import { openExport } from '../../datapath/nbd/open-export.ts';

const size = 3 << 20;

let folder: string;
let socket: string;
let server: ChildProcess | undefined;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nbd-'));
  socket = join(folder, 'socket');
  const image = join(folder, 'image');
  execFileSync('qemu-img', ['create', '-q', '-f', 'raw', image, String(size)]);
  server = spawn('qemu-nbd', [
    '--persistent',
    '--format=raw',
    '--export-name=disk',
    `--socket=${socket}`,
    image,
  ]);
  while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 5));
});
afterEach(async () => {
  server?.kill();
  if (server?.exitCode === null) await once(server, 'exit');
  rmSync(folder, { recursive: true });
});

it('gives a connection that is ready for requests, and the size of the disk', () => {
  {
    using opened = openExport(socket, 'disk');
    expect(opened.size).toBe(size);
    expect(countClients(socket)).toBe(1);
  }
});

it('says which server has no such export, and is not there at all', () => {
  expect(() => openExport(socket, 'another')).toThrow(`The NBD server at ${socket} lets nobody connect`);
  expect(() => openExport(join(folder, 'nothing'), 'disk')).toThrow(/lets nobody connect: errno 2/);
});

it('says that a server speaks another protocol', async () => {
  const other = join(folder, 'other');
  // In a process of its own, for the handshake keeps this one waiting.
  const speaker = spawn(process.execPath, [
    '-e',
    `require('node:net').createServer((c) => c.end('HTTP/1.1 400 Bad Request\\r\\n\\r\\n')).listen(${JSON.stringify(other)})`,
  ]);
  while (!existsSync(other)) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(() => openExport(other, 'disk')).toThrow(/speaks another protocol/);
  speaker.kill();
  await once(speaker, 'exit');
});
