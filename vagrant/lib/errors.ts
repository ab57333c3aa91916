/** The three ways in which work on a machine goes wrong. */
import type { ExecResult } from './ssh.ts';

/**
 * The lab failed, not what is tried in it: Vagrant, libvirt or QEMU refused, a machine did not boot, or the
 * way to it was lost. Trying again from scratch is fair.
 */
export class InfrastructureError extends Error {
  override readonly name = 'InfrastructureError';
  /** What the failed tool said, whole. */
  readonly details: string;

  constructor(message: string, details = '') {
    super(message);
    this.details = details;
  }
}

/** A command ran in a machine, and ended with an exit code that was not expected. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
  readonly machine: string;
  readonly command: readonly string[];
  readonly result: ExecResult;

  constructor(machine: string, command: readonly string[], result: ExecResult) {
    const said = result.stderr.split('\n').findLast((line) => line.trim() !== '');
    const tail = said === undefined ? '.' : `: ${said.trim()}`;
    super(`${command[0]} on ${machine} failed with exit code ${result.exitCode}${tail}`);
    this.machine = machine;
    this.command = command;
    this.result = result;
  }
}

/** A command did not end in time. It may still run in the machine, or hang there for ever. */
export class CommandTimeout extends Error {
  override readonly name = 'CommandTimeout';
  readonly machine: string;
  readonly command: readonly string[];
  /** Milliseconds. */
  readonly timeout: number;
  /** What it had printed by then. */
  readonly stdout: string;
  readonly stderr: string;

  constructor(machine: string, command: readonly string[], timeout: number, stdout: string, stderr: string) {
    super(`${command[0]} on ${machine} did not end within ${timeout} ms.`);
    this.machine = machine;
    this.command = command;
    this.timeout = timeout;
    this.stdout = stdout;
    this.stderr = stderr;
  }
}
