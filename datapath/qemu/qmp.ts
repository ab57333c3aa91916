/** QMP, the control protocol of QEMU's programs: docs/interop/qmp-spec of QEMU. One JSON document a line. */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { PluginError } from '../../src/smapi/errors.ts';

/** A connection to a program of QEMU's. */
export interface Qmp {
  /**
   * Runs a command, and answers what it returns.
   *
   * @throws QmpRefusal with QEMU's words; PluginError `DiskUnresponsive`.
   */
  execute(command: string, parameters?: Readonly<Record<string, unknown>>): Promise<unknown>;
}

/** A command that QEMU refused, in its words. */
export class QmpRefusal extends Error {}

/** A line from QEMU: an answer, an error, or else its greeting or an event. */
interface Message {
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
  readonly QMP?: unknown;
}

/**
 * Connects to a program of QEMU's once it has greeted, which it does when all that it was started with is there.
 *
 * @param timeout milliseconds for all of it.
 * @throws PluginError `DiskUnresponsive` when it does not answer, or has ended.
 */
export async function withQmp<T>(socket: string, timeout: number, use: (qmp: Qmp) => Promise<T>): Promise<T> {
  const connection = connect(socket);
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => {});
  const fail = (why: string): void =>
    failure.reject(
      new PluginError('DiskUnresponsive', `The disk's process does not answer at ${socket} (${why}).`),
    );
  const timer = setTimeout(() => fail(`waited ${timeout} ms`), timeout);
  connection.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
  connection.on('close', () => fail('it has closed the connection'));
  const lines = createInterface({ input: connection })[Symbol.asyncIterator]();

  const next = async (): Promise<Message> => {
    const { value, done } = await Promise.race([lines.next(), failure.promise]);
    if (done === true) return await failure.promise;
    return JSON.parse(value) as Message;
  };
  const answer = async (): Promise<unknown> => {
    for (;;) {
      const message = await next();
      if (message.error !== undefined) throw new QmpRefusal(message.error.desc);
      if ('return' in message) return message.return;
    }
  };
  const execute: Qmp['execute'] = async (command, parameters) => {
    connection.write(`${JSON.stringify({ execute: command, arguments: parameters })}\n`);
    return await answer();
  };
  try {
    while ((await next()).QMP === undefined);
    await execute('qmp_capabilities');
    return await use({ execute });
  } finally {
    clearTimeout(timer);
    connection.destroy();
  }
}
