/** A lab: the machines of one Vagrantfile. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Virsh } from './domain.ts';
import { InfrastructureError } from './errors.ts';
import { runOnHost } from './host-command.ts';
import { Machine } from './machine.ts';
import { errorOf, type MachineReadableLine, parseLine, progressOf, statesOf } from './machine-readable.ts';
import { SshConnection } from './ssh.ts';

/** Something that happens, for a person who waits. */
export interface ProgressEvent {
  /** Undefined when it concerns all machines. */
  readonly machine: string | undefined;
  readonly text: string;
}

/** What Vagrant says of a machine; others than these are possible. */
export type MachineState = 'not_created' | 'running' | 'shutoff' | 'paused' | (string & {});

/** Where a lab is, and how to reach it. */
export interface VagrantOptions {
  /** The folder of the Vagrantfile. */
  readonly directory: string;
  /** Where Vagrant and this package keep what they know of the machines: a short path, for it gets sockets. */
  readonly dataDirectory: string;
  /** More variables for Vagrant, such as VAGRANT_HOME. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** The libvirtd with the machines; `qemu:///system` unless told. */
  readonly libvirtUri?: string | undefined;
  /** The file of the network namespace with the machines' networks, when it is not this process's own. */
  readonly networkNamespace?: string | undefined;
  /** Aborts whatever is under way. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((event: ProgressEvent) => void) | undefined;
}

/** Drives the machines of one Vagrantfile. */
export class Vagrant {
  readonly #options: VagrantOptions;
  readonly #virsh: Virsh;
  readonly #connections = new Map<string, SshConnection>();
  readonly #sshFile: string;
  #sshConfiguration: Promise<string> | undefined;

  constructor(options: VagrantOptions) {
    this.#options = options;
    this.#virsh = new Virsh(options.libvirtUri ?? 'qemu:///system', options.signal);
    this.#sshFile = join(options.dataDirectory, 'ssh_config');
    mkdirSync(options.dataDirectory, { recursive: true, mode: 0o700 });
  }

  /** A machine by the name that the Vagrantfile gives it. */
  machine(name: string): Machine {
    return new Machine({
      name,
      idFile: join(this.#options.dataDirectory, 'machines', name, 'libvirt', 'id'),
      virsh: this.#virsh,
      namespace: this.#options.networkNamespace,
      connection: () => this.#connection(name),
      onProgress: (text) => this.#options.onProgress?.({ machine: name, text }),
    });
  }

  /** Creates or starts machines (all unless told), side by side, and waits until they answer. */
  async up(machines: readonly string[] = [], timeout = 600_000): Promise<void> {
    await this.#vagrant(['up', '--provider=libvirt', '--parallel', ...machines], timeout);
    this.#forgetSshConfiguration();
  }

  /** The state of each machine. */
  async status(): Promise<ReadonlyMap<string, MachineState>> {
    return statesOf(await this.#vagrant(['status'], 60_000));
  }

  /** Shuts machines down (all unless told) as their power buttons would. */
  async halt(machines: readonly string[] = [], timeout = 300_000): Promise<void> {
    await this.#closeConnections(machines);
    await this.#vagrant(['halt', ...machines], timeout);
  }

  /** Deletes machines (all unless told) with their own disks. */
  async destroy(machines: readonly string[] = [], timeout = 300_000): Promise<void> {
    await this.#closeConnections(machines);
    await this.#vagrant(['destroy', '--force', ...machines], timeout);
    this.#forgetSshConfiguration();
  }

  /** Ends the connections to all machines, which go on running. */
  async close(): Promise<void> {
    await this.#closeConnections([]);
  }

  /**
   * A file for `ssh -F` that knows the machines by their names. Vagrant takes seconds to say where they are, so
   * the file is kept, for other processes too, until `up` or `destroy`.
   */
  sshConfigurationFile(): Promise<string> {
    this.#sshConfiguration ??= existsSync(this.#sshFile)
      ? Promise.resolve(this.#sshFile)
      : this.#writeSshConfiguration();
    return this.#sshConfiguration;
  }

  #forgetSshConfiguration(): void {
    this.#sshConfiguration = undefined;
    rmSync(this.#sshFile, { force: true });
  }

  async #writeSshConfiguration(): Promise<string> {
    const running = [...(await this.status())].filter(([, state]) => state === 'running');
    const lines = await this.#vagrant(['ssh-config', ...running.map(([name]) => name)], 120_000);
    const blocks = lines.flatMap(({ type, data }) => (type === 'ssh-config' ? (data[0] ?? []) : []));
    writeFileSync(this.#sshFile, `${blocks.join('\n')}\n`, { mode: 0o600 });
    return this.#sshFile;
  }

  async #connection(name: string): Promise<SshConnection> {
    const known = this.#connections.get(name);
    if (known !== undefined) return known;
    // It was off when the file was written.
    if (!readFileSync(await this.sshConfigurationFile(), 'utf8').includes(`Host ${name}\n`))
      this.#forgetSshConfiguration();
    const sockets = join(this.#options.dataDirectory, 'ssh');
    mkdirSync(sockets, { recursive: true, mode: 0o700 });
    const connection = new SshConnection({
      machine: name,
      configuration: await this.sshConfigurationFile(),
      sockets,
      namespace: this.#options.networkNamespace,
      signal: this.#options.signal,
    });
    this.#connections.set(name, connection);
    return connection;
  }

  async #closeConnections(machines: readonly string[]): Promise<void> {
    for (const [name, connection] of this.#connections) {
      if (machines.length > 0 && !machines.includes(name)) continue;
      await connection.close();
      this.#connections.delete(name);
    }
  }

  async #vagrant(args: readonly string[], timeout: number): Promise<readonly MachineReadableLine[]> {
    const lines: MachineReadableLine[] = [];
    const { stdout, stderr, exitCode, timedOut } = await runOnHost(
      this.#options.networkNamespace,
      'vagrant',
      ['--machine-readable', ...args],
      {
        directory: this.#options.directory,
        environment: {
          VAGRANT_CWD: this.#options.directory,
          VAGRANT_DOTFILE_PATH: this.#options.dataDirectory,
          VAGRANT_CHECKPOINT_DISABLE: '1',
          VAGRANT_NO_COLOR: '1',
          ...this.#options.environment,
        },
        timeout,
        signal: this.#options.signal,
        onLine: (text) => {
          const line = parseLine(text);
          if (line === undefined) return;
          lines.push(line);
          const event = progressOf(line);
          if (event !== undefined) this.#options.onProgress?.(event);
        },
      },
    );
    if (exitCode === 0) return lines;
    const what = `vagrant ${args[0]}`;
    const details = `${stdout}\n${stderr}`;
    if (timedOut) throw new InfrastructureError(`${what} did not end within ${timeout} ms.`, details);
    const why = errorOf(lines)?.message ?? (stderr.trim() || `exit code ${exitCode}`);
    throw new InfrastructureError(`${what} failed: ${why}`, details);
  }
}
