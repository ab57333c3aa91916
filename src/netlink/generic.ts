/**
 * Generic netlink, by which subsystems of the kernel take commands: linux/netlink.h and linux/genetlink.h, in the
 * byte order of the machine, which is little-endian on all that Xen runs on.
 */
import { closeSync, readSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { posix } from '../posix/index.ts';

/** NETLINK_GENERIC. */
const protocol = 16;
/** Milliseconds for the kernel to answer, which it does before the request returns. */
const answerLimit = 5_000;

/** NLM_F_REQUEST and NLM_F_ACK. */
const requestFlags = 0x1 | 0x4;
const messageError = 2;
const messageDone = 3;
/** NLA_F_NESTED. */
const nestedFlag = 0x8000;

/** The family that knows the others: GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID and _NAME. */
const control = { id: 0x10, getFamily: 3, familyId: 1, familyName: 2 } as const;

/** What messages consist of. */
export interface Attribute {
  readonly type: number;
  readonly value: Buffer;
}

/** A command that the kernel refused. */
export class NetlinkRefusal extends Error {
  readonly errno: number;

  constructor(errno: number) {
    const name = Object.entries(constants.errno).find(([, value]) => value === errno)?.[0];
    super(`the kernel refused it (${name ?? `errno ${errno}`})`);
    this.errno = errno;
  }
}

export function u32(type: number, number: number): Attribute {
  const value = Buffer.alloc(4);
  value.writeUInt32LE(number);
  return { type, value };
}

export function u64(type: number, number: number): Attribute {
  const value = Buffer.alloc(8);
  value.writeBigUInt64LE(BigInt(number));
  return { type, value };
}

export function nested(type: number, attributes: readonly Attribute[]): Attribute {
  return { type: type | nestedFlag, value: encode(attributes) };
}

/** Has a family of commands, which the kernel knows by its name, take one. */
export interface Family {
  /**
   * @returns the attributes of the kernel's answers.
   * @throws NetlinkRefusal.
   */
  execute(command: number, attributes: readonly Attribute[]): readonly Attribute[];
}

/**
 * Does something with a family of commands.
 *
 * @throws NetlinkRefusal, with ENOENT for a family that the kernel does not have.
 */
export function withFamily<T>(name: string, use: (family: Family) => T): T {
  const socket = posix().netlinkSocket(protocol, answerLimit);
  if (socket < 0) throw new NetlinkRefusal(-socket);
  try {
    const named: Attribute = { type: control.familyName, value: Buffer.from(`${name}\0`) };
    const answer = request(socket, control.id, control.getFamily, [named]);
    const id = answer.find(({ type }) => type === control.familyId)?.value.readUInt16LE();
    if (id === undefined) throw new NetlinkRefusal(constants.errno.ENOENT);
    return use({ execute: (command, attributes) => request(socket, id, command, attributes) });
  } finally {
    closeSync(socket);
  }
}

function request(
  socket: number,
  family: number,
  command: number,
  attributes: readonly Attribute[],
): readonly Attribute[] {
  const body = encode(attributes);
  const head = Buffer.alloc(20);
  head.writeUInt32LE(head.length + body.length, 0);
  head.writeUInt16LE(family, 4);
  head.writeUInt16LE(requestFlags, 6);
  // The version of the family, of which there is only one.
  head.writeUInt8(command, 16);
  head.writeUInt8(1, 17);
  writeSync(socket, Buffer.concat([head, body]));
  const answers: Attribute[] = [];
  const buffer = Buffer.alloc(65_536);
  for (;;) {
    const received = buffer.subarray(0, readSync(socket, buffer));
    for (const { type, payload } of messages(received)) {
      if (type === messageDone) return answers;
      if (type === messageError) {
        const errno = -payload.readInt32LE();
        if (errno !== 0) throw new NetlinkRefusal(errno);
        return answers;
      }
      answers.push(...decode(payload.subarray(4)));
    }
  }
}

function* messages(data: Buffer): Generator<{ readonly type: number; readonly payload: Buffer }> {
  for (let at = 0; at + 16 <= data.length; ) {
    const length = data.readUInt32LE(at);
    yield { type: data.readUInt16LE(at + 4), payload: Buffer.from(data.subarray(at + 16, at + length)) };
    at += padded(length);
  }
}

function encode(attributes: readonly Attribute[]): Buffer {
  return Buffer.concat(
    attributes.map(({ type, value }) => {
      const encoded = Buffer.alloc(padded(4 + value.length));
      encoded.writeUInt16LE(4 + value.length, 0);
      encoded.writeUInt16LE(type, 2);
      value.copy(encoded, 4);
      return encoded;
    }),
  );
}

function decode(data: Buffer): readonly Attribute[] {
  const attributes: Attribute[] = [];
  for (let at = 0; at + 4 <= data.length; ) {
    const length = data.readUInt16LE(at);
    attributes.push({
      type: data.readUInt16LE(at + 2) & ~nestedFlag,
      value: data.subarray(at + 4, at + length),
    });
    at += padded(length);
  }
  return attributes;
}

/** Messages and attributes begin at multiples of 4 bytes. */
function padded(length: number): number {
  return Math.ceil(length / 4) * 4;
}
