/** An array that is not one: it answers discovery and SCSI commands as a test wants, also wrongly. */
import { type FakePeer, FakeTarget, OPCODE, type Pdu } from '../../native/test/fake-target.ts';

/** What a LUN answers to a command: data, `[sense key, ASC]`, or nothing at all. */
export type FakeAnswer = Uint8Array | readonly [key: number, asc: number] | undefined;

export interface FakeLun {
  /** What differs from an ordinary disk; `default` for everything else. */
  readonly answer?: (cdb: Buffer, otherwise: () => FakeAnswer) => FakeAnswer;
  /** Bytes of page 83h behind its header. */
  readonly identification?: Uint8Array;
  readonly serial?: string;
  readonly deviceType?: number;
}

export interface FakeArray {
  /** The text of the answer to SendTargets, without the final NUL. */
  readonly targets: (portal: string) => string;
  /** By their eight bytes in hex; `closes` hangs up on whoever asks for them. */
  readonly luns?: Readonly<Record<string, FakeLun>> | 'closes';
}

/** Starts an array; its target is whatever name the initiator asks for. */
export function startFakeArray(array: FakeArray): Promise<FakeTarget> {
  return FakeTarget.start(async (peer) => {
    for (let request = await peer.next(); request !== undefined; request = await peer.next()) {
      if (request.opcode === 0x03) peer.acceptLogin(request);
      else if (request.opcode === 0x04) sendTargets(peer, request, array);
      else if (request.opcode === 0x01) run(peer, request, array);
      else if (request.opcode === 0x06) peer.answer(request, OPCODE.logoutResponse);
    }
  });
}

function sendTargets(peer: FakePeer, request: Pdu, { targets }: FakeArray): void {
  const data = targets(`127.0.0.1:${peer.socket.localPort}`).replaceAll('\n', '\0');
  peer.answer(request, OPCODE.textResponse, { data: `${data}\0`, words: { 20: 0xffffffff } });
}

function run(peer: FakePeer, request: Pdu, { luns = {} }: FakeArray): void {
  if (luns === 'closes') {
    peer.socket.end();
    return;
  }
  const cdb = request.header.subarray(32, 48);
  const raw = request.header.toString('hex', 8, 16);
  const lun = luns[raw];
  const answer =
    cdb[0] === 0xa0
      ? lunList(Object.keys(luns))
      : lun === undefined
        ? ([5, 0x25] as const)
        : lun.answer === undefined
          ? ordinary(lun, cdb)
          : lun.answer(cdb, () => ordinary(lun, cdb));
  if (answer instanceof Uint8Array) {
    const length = request.header.readUInt32BE(20);
    peer.succeed(request, answer.subarray(0, length));
  } else if (answer !== undefined) {
    peer.refuse(request, answer[0], answer[1]);
  }
}

function lunList(luns: readonly string[]): Uint8Array {
  const list = Buffer.from(luns.join(''), 'hex');
  const header = Buffer.alloc(8);
  header.writeUInt32BE(list.length);
  return Buffer.concat([header, list]);
}

/** A blank disk of 1 GiB with blocks of 512 bytes. */
function ordinary(lun: FakeLun, cdb: Buffer): FakeAnswer {
  switch (cdb[0]) {
    case 0x00:
      return new Uint8Array(0);
    case 0x12:
      return cdb[1] === 1 ? page(lun, cdb[2] ?? 0) : standardInquiry(lun.deviceType ?? 0);
    case 0x1a:
      return Buffer.from([3, 0, 0, 0]);
    case 0x5e:
      return Buffer.alloc(8);
    case 0x88:
      return Buffer.alloc(cdb.readUInt32BE(10) * 512);
    case 0x9e: {
      const capacity = Buffer.alloc(32);
      capacity.writeBigUInt64BE(2n ** 21n - 1n);
      capacity.writeUInt32BE(512, 8);
      return capacity;
    }
    case 0x25:
      return Buffer.from([0, 0x1f, 0xff, 0xff, 0, 0, 2, 0]);
    default:
      return [5, 0x20];
  }
}

function page({ identification, serial }: FakeLun, number: number): FakeAnswer {
  const body =
    number === 0x83
      ? identification
      : number === 0x80 && serial !== undefined
        ? Buffer.from(serial)
        : undefined;
  if (body === undefined) return [5, 0x24];
  return Buffer.from([0, number, body.length >> 8, body.length & 0xff, ...body]);
}

function standardInquiry(deviceType: number): Uint8Array {
  const data = Buffer.alloc(36, ' ');
  data.set([deviceType, 0, 6, 2, 31, 0, 0, 2]);
  data.write('FAKE    ARRAY           0001', 8);
  return data;
}

/** Page 83h with one NAA 6 designator. */
export function naa(hex: string): Uint8Array {
  return Buffer.concat([Buffer.from([1, 3, 0, 16]), Buffer.from(hex.padEnd(32, '0'), 'hex')]);
}

/** Page 83h with one T10 vendor id. */
export function t10(text: string): Uint8Array {
  return Buffer.concat([Buffer.from([2, 1, 0, text.length]), Buffer.from(text)]);
}
