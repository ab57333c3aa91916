/** The handshake of NBD by which the kernel's client gets a connection (doc/proto.md of NBD, "Fixed newstyle"). */
import { closeSync, readSync, writeSync } from 'node:fs';
import { posix } from '../../src/posix/index.ts';
import { PluginError } from '../../src/smapi/errors.ts';

/** Milliseconds for each word of the server's. */
const wordLimit = 10_000;

const greeting = Buffer.from('NBDMAGICIHAVEOPT');
const optionMagic = Buffer.from('IHAVEOPT');
const replyMagic = 0x3e889045565a9n;
/** NBD_FLAG_C_FIXED_NEWSTYLE and NBD_FLAG_C_NO_ZEROES. */
const clientFlags = 0x1 | 0x2;
const optionGo = 7;
const replyAck = 1;
const replyInfo = 3;
const infoExport = 0;

/** A connection that is at the point where requests begin, until it is disposed of. */
export interface OpenExport extends Disposable {
  readonly fd: number;
  /** Bytes. */
  readonly size: number;
}

/**
 * Connects to a server of another process.
 *
 * @throws PluginError `NbdFailed`.
 */
export function openExport(socket: string, name: string): OpenExport {
  const fd = posix().connectUnix(socket, wordLimit);
  if (fd < 0) throw failed(socket, `errno ${-fd}`);
  try {
    const size = shakeHands(fd, name);
    // The kernel would take an idle time as the end of the connection.
    const error = posix().setSocketTimeout(fd, 0);
    if (error !== 0) throw new Error(`errno ${error}`);
    return { fd, size, [Symbol.dispose]: () => closeSync(fd) };
  } catch (error) {
    closeSync(fd);
    throw failed(socket, error instanceof Error ? error.message : String(error));
  }
}

function shakeHands(fd: number, name: string): number {
  const hello = read(fd, greeting.length + 2);
  if (!hello.subarray(0, greeting.length).equals(greeting)) throw new Error('it speaks another protocol');
  const flags = Buffer.alloc(4);
  flags.writeUInt32BE(hello.readUInt16BE(greeting.length) & clientFlags);
  writeSync(fd, Buffer.concat([flags, goTo(name)]));
  for (let size: number | undefined; ; ) {
    const head = read(fd, 20);
    if (head.readBigUInt64BE() !== replyMagic) throw new Error('it speaks another protocol');
    const type = head.readUInt32BE(12);
    const data = read(fd, head.readUInt32BE(16));
    if (type === replyInfo && data.readUInt16BE() === infoExport) size = Number(data.readBigUInt64BE(2));
    if (type === replyAck && size !== undefined) return size;
    if (type !== replyInfo) throw new Error(`it answered ${type.toString(16)}`);
  }
}

function goTo(name: string): Buffer {
  const bytes = Buffer.from(name);
  const data = Buffer.alloc(6 + bytes.length);
  data.writeUInt32BE(bytes.length);
  bytes.copy(data, 4);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(optionGo);
  head.writeUInt32BE(data.length, 4);
  return Buffer.concat([optionMagic, head, data]);
}

function read(fd: number, length: number): Buffer {
  const data = Buffer.alloc(length);
  for (let at = 0; at < length; ) {
    const count = readSync(fd, data, at, length - at, null);
    if (count === 0) throw new Error('it has closed the connection');
    at += count;
  }
  return data;
}

function failed(socket: string, why: string): PluginError {
  return new PluginError('NbdFailed', `The NBD server at ${socket} lets nobody connect: ${why}.`);
}
