/** One machine of a lab. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AttachDiskOptions, type Disk, diskXml } from './disk.ts';
import { parseConsoleFile, parseInterfaces, type Virsh } from './domain.ts';
import { InfrastructureError } from './errors.ts';
import { type CutOptions, type Direction, NetworkFaults } from './network.ts';
import type { ExecOptions, ExecResult, SshConnection } from './ssh.ts';

/** What a machine needs of the lab that it belongs to. */
export interface MachineContext {
  readonly name: string;
  /** Vagrant's file with the id that libvirt knows the machine by. */
  readonly idFile: string;
  readonly virsh: Virsh;
  readonly namespace: string | undefined;
  connection(): Promise<SshConnection>;
  onProgress(text: string): void;
}

/** A machine: commands in it, and what can happen to it. Get one from {@link Vagrant.machine}. */
export class Machine {
  readonly name: string;
  readonly #context: MachineContext;

  constructor(context: MachineContext) {
    this.name = context.name;
    this.#context = context;
  }

  /**
   * Runs a command as root, without a shell: `exec(['sh', '-c', '…'])` for one. Its timeout stands outside of
   * the machine, so that it also ends for a task that nothing can kill.
   *
   * @throws CommandFailure for an exit code that is not expected; CommandTimeout; InfrastructureError.
   */
  async exec(command: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    return (await this.#context.connection()).exec(command, options);
  }

  /** Copies a file or a folder of this host into the machine. */
  async upload(from: string, to: string, timeout?: number): Promise<void> {
    await (await this.#context.connection()).upload(from, to, timeout);
  }

  /** Waits until the machine answers ssh, at most some milliseconds (120,000 unless told). */
  async waitForSsh(timeout = 120_000): Promise<void> {
    await (await this.#context.connection()).connect(timeout);
  }

  /** Takes the power away: nothing is flushed, nothing is told. */
  async powerCut(): Promise<void> {
    await this.#context.virsh.run(['destroy', this.#id()]);
    this.#context.onProgress('power is cut');
    await (await this.#context.connection()).close();
  }

  /** Whether it has power. A frozen machine has. */
  async hasPower(): Promise<boolean> {
    return (await this.#context.virsh.run(['domstate', this.#id()])).trim() !== 'shut off';
  }

  /** Gives power to a machine that has none, and waits until it answers ssh. */
  async start(timeout?: number): Promise<void> {
    await this.#context.virsh.run(['start', this.#id()]);
    this.#context.onProgress('power is on');
    await this.waitForSsh(timeout);
  }

  /**
   * Changes the XML by which libvirt defines a machine without power, for its next start.
   *
   * @returns how it was.
   */
  async redefine(edit: (xml: string) => string): Promise<string> {
    const before = await this.#context.virsh.run(['dumpxml', '--inactive', '--security-info', this.#id()]);
    await this.#context.virsh.runWithXml(['define'], edit(before));
    return before;
  }

  /** Stops its processors; its disks, its network and its clock wait with it. */
  async freeze(): Promise<void> {
    await this.#context.virsh.run(['suspend', this.#id()]);
    this.#context.onProgress('frozen');
  }

  /** Lets a frozen machine go on. */
  async thaw(): Promise<void> {
    await this.#context.virsh.run(['resume', this.#id()]);
    this.#context.onProgress('thawed');
  }

  /** Cuts it off one network, which is named as libvirt names it. */
  async cut(network: string, options: CutOptions): Promise<void> {
    await (await this.#faults(network)).cut(options);
    this.#context.onProgress(`cut off ${network}, carrier ${options.carrier}`);
  }

  /** Drops all packets of one direction, on one network. */
  async drop(network: string, direction: Direction): Promise<void> {
    await (await this.#faults(network)).drop(direction);
    this.#context.onProgress(`packets ${direction} on ${network} are dropped`);
  }

  /** Ends what {@link cut} and {@link drop} did on one network; harmless when they did nothing. */
  async heal(network: string): Promise<void> {
    await (await this.#faults(network)).heal();
    this.#context.onProgress(`${network} is healed`);
  }

  /** Attaches a disk, also for later starts of the machine. */
  async attachDisk(options: AttachDiskOptions): Promise<Disk> {
    await this.#context.virsh.runWithXml(['attach-device', '--persistent', this.#id()], diskXml(options));
    return { target: options.target, path: options.path };
  }

  /** Takes a disk away again; its file stays. */
  async detachDisk(disk: Disk): Promise<void> {
    await this.#context.virsh.run(['detach-disk', this.#id(), disk.target, '--persistent']);
  }

  /** Grows a disk and its file to some bytes, while the machine runs. */
  async growDisk(disk: Disk, bytes: number): Promise<void> {
    await this.#context.virsh.run(['blockresize', this.#id(), disk.target, `${bytes}B`]);
  }

  /** All that its serial console printed since the machine's last start. */
  async console(): Promise<string> {
    const file = await this.#consoleFile();
    return existsSync(file) ? readFileSync(file, 'latin1') : '';
  }

  /** Its journal, of this start. */
  async journal(options: ExecOptions = {}): Promise<string> {
    return (await this.exec(['journalctl', '--boot', '--no-pager', '--output=short-precise'], options))
      .stdout;
  }

  /**
   * Writes `NAME-console.log` and `NAME-journal.log` into a folder. What cannot be had is said in the file:
   * a machine whose logs are wanted is often one that answers no more.
   */
  async collectLogs(folder: string): Promise<void> {
    mkdirSync(folder, { recursive: true });
    const orWhy = (error: unknown): string => (error instanceof Error ? error.message : String(error));
    const console = join(folder, `${this.name}-console.log`);
    await this.#consoleFile()
      .then((file) => copyFileSync(file, console))
      .catch((error: unknown) => writeFileSync(console, `${orWhy(error)}\n`));
    const journal = await this.journal({ timeout: 30_000 }).catch(orWhy);
    writeFileSync(join(folder, `${this.name}-journal.log`), `${journal}\n`);
  }

  async #consoleFile(): Promise<string> {
    const file = parseConsoleFile(await this.#context.virsh.run(['dumpxml', this.#id()]));
    if (file === undefined) throw new InfrastructureError(`${this.name} has no serial port into a file.`);
    return file;
  }

  async #faults(network: string): Promise<NetworkFaults> {
    const id = this.#id();
    const cards = parseInterfaces(await this.#context.virsh.run(['domiflist', id]));
    const card = cards.find((candidate) => candidate.network === network);
    if (card === undefined)
      throw new InfrastructureError(
        `${this.name} is on no network ${network}, but on ${cards.map((one) => one.network).join(', ')}.`,
      );
    return new NetworkFaults(id, card, this.#context.virsh, this.#context.namespace);
  }

  #id(): string {
    if (!existsSync(this.#context.idFile))
      throw new InfrastructureError(`${this.name} was not created: run up first.`);
    return readFileSync(this.#context.idFile, 'utf8').trim();
  }
}
