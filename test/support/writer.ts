/** A guest that writes: qemu-io as the client of a disk's NBD server. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';

/** What a guest was told of its writes. */
export interface Written {
  readonly exitCode: number | null;
  readonly said: string;
}

/** A guest at work. */
export interface Writer {
  /** Comes when all is written, or refused. */
  readonly written: Promise<Written>;
  /** Whether it still waits for its disk. */
  isWaiting(): boolean;
  kill(): Promise<void>;
}

/** Has a guest write `mebibytes` of one byte, from the beginning of its disk. */
export function startWriter(socket: string, byte: number, mebibytes: number): Writer {
  const commands = ['-c', `write -P ${byte} 0 ${mebibytes}M`, '-c', 'flush'];
  const child: ChildProcess = spawn('qemu-io', ['-f', 'raw', ...commands, socket]);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
  }
  const closed = once(child, 'close');
  return {
    written: closed.then(([exitCode]) => ({ exitCode: exitCode as number | null, said })),
    isWaiting: () => child.exitCode === null && said === '',
    async kill() {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

/** Whether a disk begins with that. */
export function hasWritten(socket: string, byte: number, mebibytes: number): boolean {
  const said = execFileSync('qemu-io', ['-r', '-f', 'raw', '-c', `read -P ${byte} 0 ${mebibytes}M`, socket], {
    encoding: 'utf8',
  });
  return said.includes(`read ${mebibytes * 2 ** 20}/`) && !said.includes('verification failed');
}
