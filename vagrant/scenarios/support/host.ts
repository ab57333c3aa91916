/** A host of the lab, as xapi and an admin see it: calls of the plugins, and readers of its state. */
import type { ExecOptions, ExecResult, Machine } from '../../lib/index.ts';
import {
  CallFailed,
  type CallName,
  formatRequest,
  type Parameters,
  parseAnswer,
  type Result,
} from './smapi.ts';

const plugins = '/usr/libexec/xapi-storage-script';

/** How to make a call. */
export interface CallOptions {
  /** Of a datapath plugin; the volume plugin's call unless told. */
  readonly scheme?: string;
  /** Milliseconds; 180,000 unless told. */
  readonly timeout?: number;
  /** A folder on the host with another installation of the plugins. */
  readonly installation?: string;
  /** More variables for the plugin. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A session of the host's kernel with a target. */
export interface KernelSession {
  /** `session3`: a session that is made anew has another number. */
  readonly id: string;
  readonly iqn: string;
  readonly portal: string;
  readonly group: number;
  readonly state: string;
}

export class Host {
  readonly machine: Machine;

  constructor(machine: Machine) {
    this.machine = machine;
  }

  get name(): string {
    return this.machine.name;
  }

  /**
   * Makes a call of the volume plugin, or of a datapath plugin by its scheme. Its process may hang for ever,
   * so that the clock stands outside.
   *
   * @throws CallFailed with the plugin's error; CommandTimeout; Error when the answer is none.
   */
  async call<N extends CallName>(
    name: N,
    parameters: Parameters<N>,
    { scheme, timeout = 180_000, installation = '', environment = {} }: CallOptions = {},
  ): Promise<Result<N>> {
    const folder = scheme === undefined ? 'volume/org.xen.xapi.storage.gfs2' : `datapath/${scheme}`;
    const variables = Object.entries(environment).map(([key, value]) => `${key}=${value}`);
    const words = [`${installation}${plugins}/${folder}/${name}`, '--json'];
    const ended = await this.machine.exec(variables.length === 0 ? words : ['env', ...variables, ...words], {
      input: formatRequest(parameters),
      timeout,
      expect: 'any',
    });
    let answer: unknown;
    try {
      answer = parseAnswer(ended.stdout);
    } catch (error) {
      throw new Error(
        `${name} on ${this.name} (exit code ${ended.exitCode}) printed no JSON: ${ended.stdout}${ended.stderr}`,
        { cause: error },
      );
    }
    if (ended.exitCode === 0) return answer as Result<N>;
    const { code, params, backtrace } = answer as {
      code: string;
      params: readonly string[];
      backtrace: { error: string };
    };
    throw new CallFailed(this.name, name, code, params, backtrace.error);
  }

  /** Makes a call that must be refused, and gives its error. */
  async refusal<N extends CallName>(
    name: N,
    parameters: Parameters<N>,
    options?: CallOptions,
  ): Promise<CallFailed> {
    try {
      await this.call(name, parameters, options);
    } catch (error) {
      if (error instanceof CallFailed) return error;
      throw error;
    }
    throw new Error(`${name} on ${this.name} was not refused`);
  }

  /** Runs a command; words as they are. */
  exec(command: readonly string[], options?: ExecOptions): Promise<ExecResult> {
    return this.machine.exec(command, options);
  }

  /** Runs a script of the shell, with `$1` and so on, and gives what it printed. */
  async sh(script: string, args: readonly string[] = [], options?: ExecOptions): Promise<string> {
    return (await this.machine.exec(['bash', '-euo', 'pipefail', '-c', script, 'sh', ...args], options))
      .stdout;
  }

  /** Where an SR is mounted. */
  mountPoint(sr: string): string {
    return `/run/sr-mount/${sr}`;
  }

  /** Whether an SR is mounted, by the kernel's own list, which no filesystem can hold up. */
  async hasMounted(sr: string): Promise<boolean> {
    const mounts = await this.sh('cat /proc/self/mounts');
    return mounts.split('\n').some((line) => line.split(' ')[1] === this.mountPoint(sr));
  }

  /** The sessions of its kernel. */
  async sessions(): Promise<readonly KernelSession[]> {
    const lines = await this.sh(
      'cd /sys/class/iscsi_session 2>/dev/null || exit 0; shopt -s nullglob; for s in session*; do ' +
        'c=$(echo "$s"/device/connection*/iscsi_connection/connection*); ' +
        'echo "$s $(cat "$s/targetname") $(cat "$c/persistent_address"):$(cat "$c/persistent_port") $(cat "$s/tpgt") $(cat "$s/state")"; done',
    );
    return lines
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [id = '', iqn = '', portal = '', group, state = ''] = line.split(' ');
        return { id, iqn, portal, group: Number(group), state };
      });
  }

  /** The paths (`sda`) that it has to a LUN, by the SCSI id that udev found. */
  async paths(scsiId: string): Promise<readonly string[]> {
    const lines = await this.sh(
      'shopt -s nullglob; for d in /sys/block/sd*; do ' +
        'echo "$(basename "$d") $(udevadm info --query=property --property=ID_SERIAL --value "$d")"; done',
    );
    return lines.split('\n').flatMap((line) => {
      const [device = '', id] = line.split(' ');
      return id === scsiId ? [device] : [];
    });
  }

  /** A place in the kernel's log, for {@link kernelLogSince}. */
  async kernelLogMark(): Promise<string> {
    const mark = `lab-mark-${crypto.randomUUID()}`;
    await this.sh('echo "$1" >/dev/kmsg', [mark]);
    return mark;
  }

  /** What the kernel has logged since a mark. */
  async kernelLogSince(mark: string): Promise<readonly string[]> {
    const lines = (await this.exec(['dmesg'])).stdout.split('\n');
    const at = lines.findIndex((line) => line.includes(mark));
    return lines.slice(at + 1).filter((line) => line !== '');
  }

  /** What distinguishes this start of the machine from others. */
  async bootId(): Promise<string> {
    return (await this.exec(['cat', '/proc/sys/kernel/random/boot_id'])).stdout.trim();
  }
}
