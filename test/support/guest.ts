/** A guest: one client of a disk's NBD server, that stays connected and sees every error of its reads and writes. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';

/** Bytes that a guest reads and writes at once. */
export const guestBlock = 65_536;

export class Guest {
  readonly #process: ChildProcessWithoutNullStreams;
  #said = '';

  /** @param disk its server, as QEMU's tools name it. */
  constructor(disk: string, writes = true) {
    this.#process = spawn('qemu-io', [...(writes ? [] : ['-r']), '-f', 'raw', disk]);
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#said += text;
      });
    }
  }

  /** Writes a block of one byte's value, and has it flushed. */
  async write(byte: number, offset: number): Promise<void> {
    await this.#run(`write -P ${byte} ${offset} ${guestBlock}`, /wrote \d+\/\d+ bytes/);
    await this.#run('flush', /qemu-io> $/);
  }

  /** Makes sure that a block has one byte's value. */
  async expect(byte: number, offset: number): Promise<void> {
    await this.#run(`read -P ${byte} ${offset} ${guestBlock}`, /read \d+\/\d+ bytes/);
  }

  /** Ends the connection. */
  async leave(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.stdin.end('quit\n');
    await ended;
  }

  async #run(command: string, done: RegExp): Promise<void> {
    await this.#prompt();
    this.#said = '';
    this.#process.stdin.write(`${command}\n`);
    await this.#prompt();
    if (!done.test(this.#said) || /fail|error/i.test(this.#said)) {
      throw new Error(`${command}: ${this.#said.trim()}`);
    }
  }

  async #prompt(): Promise<void> {
    while (!/qemu-io> $/.test(this.#said)) {
      if (this.#process.exitCode !== null) throw new Error(`qemu-io ended: ${this.#said.trim()}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
