import { PluginError } from './smapi/errors.ts';

/** A command that could not be run, failed or took too long. */
export class CommandError extends PluginError {
  readonly exitCode: number | undefined;
  readonly stderr: string;
  /** The process of a command that not even SIGKILL ended: the kernel holds it in a system call. */
  readonly stuck: number | undefined;
  /** Whether it took too long. */
  readonly timedOut: boolean;

  constructor(
    message: string,
    exitCode: number | undefined,
    stderr: string,
    late: { readonly timedOut?: boolean; readonly stuck?: number | undefined } = {},
  ) {
    super('CommandFailed', message);
    this.exitCode = exitCode;
    this.stderr = stderr;
    this.stuck = late.stuck;
    this.timedOut = late.timedOut ?? false;
  }
}
