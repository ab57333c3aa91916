import { once } from 'node:events';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';

/** A PDU as it came in: its 48-byte header and its data without padding. */
export interface Pdu {
  readonly opcode: number;
  readonly header: Buffer;
  readonly data: Buffer;
  readonly tag: number;
}

export interface PduFields {
  readonly flags?: number;
  readonly tag?: number;
  /** Bytes to be set in the header, by offset. */
  readonly bytes?: Readonly<Record<number, number>>;
  /** 32-bit words to be set in the header, by offset. */
  readonly words?: Readonly<Record<number, number>>;
  readonly data?: Uint8Array | string;
}

export const OPCODE = {
  nopIn: 0x20,
  scsiResponse: 0x21,
  loginResponse: 0x23,
  textResponse: 0x24,
  dataIn: 0x25,
  logoutResponse: 0x26,
  readyToTransfer: 0x31,
  async: 0x32,
  reject: 0x3f,
} as const;

const padded = (length: number) => (length + 3) & ~3;

/** Builds one PDU; whatever is wrong with it is the caller's wish. */
export function pdu(opcode: number, fields: PduFields = {}): Buffer {
  const data =
    typeof fields.data === 'string' ? Buffer.from(fields.data) : (fields.data ?? new Uint8Array(0));
  const out = Buffer.alloc(48 + padded(data.length));
  out[0] = opcode;
  out[1] = fields.flags ?? 0x80;
  out.writeUIntBE(data.length, 5, 3);
  out.writeUInt32BE(fields.tag ?? 0xffffffff, 16);
  for (const [at, value] of Object.entries(fields.words ?? {})) out.writeUInt32BE(value >>> 0, Number(at));
  for (const [at, value] of Object.entries(fields.bytes ?? {})) out[Number(at)] = value;
  out.set(data, 48);
  return out;
}

/** One initiator that connected, seen from the fake target. */
export class FakePeer {
  readonly socket: Socket;
  #input: Buffer = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  #statSN = 1;
  #cmdSN = 0;
  #closed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#input = Buffer.concat([this.#input, chunk]);
      this.#wake?.();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#closed = true;
      this.#wake?.();
    });
  }

  /** The next PDU, or undefined when the initiator is gone. */
  async next(): Promise<Pdu | undefined> {
    for (;;) {
      if (this.#input.length >= 48) {
        const length = this.#input.readUIntBE(5, 3);
        const total = 48 + padded(length);
        if (this.#input.length >= total) {
          const header = this.#input.subarray(0, 48);
          const data = this.#input.subarray(48, 48 + length);
          this.#input = this.#input.subarray(total);
          const opcode = (header[0] ?? 0) & 0x3f;
          // An initiator starts at a number of its choice; immediate requests do not count.
          const immediate = ((header[0] ?? 0) & 0x40) !== 0;
          if (opcode !== 0x05) this.#cmdSN = (header.readUInt32BE(24) + (immediate ? 0 : 1)) >>> 0;
          return { opcode, header, data, tag: header.readUInt32BE(16) };
        }
      }
      if (this.#closed) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Sends a PDU with the sequence numbers that a well-behaved target would give it. */
  answer(request: Pdu, opcode: number, fields: PduFields = {}): void {
    this.send(
      pdu(opcode, {
        tag: request.tag,
        ...fields,
        words: { 24: this.#statSN++, 28: this.#cmdSN, 32: this.#cmdSN + 64, ...fields.words },
      }),
    );
  }

  send(bytes: Uint8Array): void {
    if (!this.socket.destroyed) this.socket.write(bytes);
  }

  /** Accepts a login in one step. Returns the request, or undefined when there was none. */
  async login(text = ''): Promise<Pdu | undefined> {
    const request = await this.next();
    if (request !== undefined) this.acceptLogin(request, text);
    return request;
  }

  acceptLogin(request: Pdu, text = ''): void {
    this.answer(request, OPCODE.loginResponse, { flags: request.header[1] ?? 0, data: text });
  }

  /** Good status with data. */
  succeed(request: Pdu, data: Uint8Array | string): void {
    this.answer(request, OPCODE.dataIn, { flags: 0x81, data });
  }

  /** CHECK CONDITION with fixed sense data. */
  refuse(request: Pdu, key: number, asc: number, ascq = 0): void {
    const sense = Buffer.alloc(20);
    sense.writeUInt16BE(18);
    sense.set([0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, asc, ascq], 2);
    this.answer(request, OPCODE.scsiResponse, { bytes: { 3: 2 }, data: sense });
  }
}

/** A target that is not one: it does what a script says with each connection. */
export class FakeTarget implements AsyncDisposable {
  readonly host: string;
  readonly port: number;
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, host: string, port: number) {
    this.#server = server;
    this.host = host;
    this.port = port;
  }

  static async start(
    script: (peer: FakePeer, index: number) => unknown,
    host = '127.0.0.1',
    port = 0,
  ): Promise<FakeTarget> {
    const server = createServer();
    server.listen(port, host);
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no address');
    const fake = new FakeTarget(server, host, address.port);
    server.on('connection', (socket) => {
      fake.#sockets.add(socket);
      socket.once('close', () => fake.#sockets.delete(socket));
      socket.setNoDelay();
      void script(new FakePeer(socket), fake.connections++);
    });
    return fake;
  }

  get portal(): { host: string; port: number } {
    return { host: this.host, port: this.port };
  }

  /** Resolves when no initiator is connected any more. */
  async idle(): Promise<void> {
    await Promise.all([...this.#sockets].map((socket) => once(socket, 'close')));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** What a target sent in answer to each request, and the numbers that the initiator began with. */
export interface Recording {
  readonly answers: readonly Buffer[];
  readonly tag: number;
  readonly cmdSN: number;
}

/** Lets `use` talk to a target through a relay and keeps what the target sent. */
export async function record(
  target: { host: string; port: number },
  use: (portal: { host: string; port: number }) => Promise<unknown>,
): Promise<Recording> {
  const answers: Buffer[] = [];
  const first = Promise.withResolvers<Buffer>();
  const relay = await FakeTarget.start(({ socket }) => {
    const upstream = dial(target);
    socket.on('data', (chunk: Buffer) => {
      first.resolve(chunk);
      answers.push(Buffer.alloc(0));
      upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      answers.push(Buffer.concat([answers.pop() ?? Buffer.alloc(0), chunk]));
      socket.write(chunk);
    });
    upstream.on('error', () => socket.destroy());
    upstream.on('close', () => socket.destroy());
    socket.on('close', () => upstream.destroy());
  });
  await use(relay.portal);
  await relay[Symbol.asyncDispose]();
  const request = await first.promise;
  return { answers, tag: request.readUInt32BE(16), cmdSN: request.readUInt32BE(24) };
}

/** The recorded bytes as they answer an initiator that began with other numbers. */
function renumber({ answers, tag, cmdSN }: Recording, request: Pdu): Buffer {
  const all = Buffer.concat(answers);
  const shift = (at: number, by: number) => all.writeUInt32BE((all.readUInt32BE(at) + by) >>> 0, at);
  for (let at = 0; at + 48 <= all.length; at += 48 + padded(all.readUIntBE(at + 5, 3))) {
    if (all.readUInt32BE(at + 16) !== 0xffffffff) shift(at + 16, request.tag - tag);
    for (const word of [28, 32]) shift(at + word, request.header.readUInt32BE(24) - cmdSN);
  }
  return all;
}

/**
 * Plays a recording to whoever connects, one answer for each request. What `edit`
 * makes of the recorded bytes is sent in their place.
 */
export function replay(
  recording: Recording,
  edit: (all: Buffer, index: number) => { bytes: Buffer; end: 'close' | 'reset' | 'stay' },
): Promise<FakeTarget> {
  return FakeTarget.start(async (peer, index) => {
    let request = await peer.next();
    if (request === undefined) return;
    const { bytes, end } = edit(renumber(recording, request), index);
    let sent = 0;
    let until = 0;
    for (const [step, answer] of recording.answers.entries()) {
      until += answer.length;
      const last = until >= bytes.length || step === recording.answers.length - 1;
      peer.send(bytes.subarray(sent, last ? bytes.length : until));
      sent = until;
      if (last) break;
      request = await peer.next();
      if (request === undefined) return;
    }
    if (end === 'close') peer.socket.end();
    else if (end === 'reset') peer.socket.resetAndDestroy();
  });
}
