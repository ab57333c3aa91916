/** Guests of Xen on a host that was started with it: driven by their consoles, plugged as xenopsd does. */
import { strict as assert } from 'node:assert';
import { eventually } from './eventually.ts';
import type { Host } from './host.ts';

/** A disk of a guest: what Datapath.attach said, and the name that the guest knows it by. */
export interface GuestDisk {
  readonly params: string;
  /** `xvda`. */
  readonly name: string;
  readonly backend: 'phy' | 'qdisk';
}

/** Seconds for a guest to start, and for a command in it. */
const startLimit = 180;
const commandLimit = 120;

export class XenGuest {
  readonly #host: Host;
  readonly #name: string;
  #commands = 0;

  private constructor(host: Host, name: string) {
    this.#host = host;
    this.#name = name;
  }

  /** Starts a paravirtualised guest with some disks. */
  static async start(host: Host, name: string, disks: readonly GuestDisk[] = []): Promise<XenGuest> {
    const guest = new XenGuest(host, name);
    const configuration = [
      `name = "${name}"`,
      'type = "pv"',
      `kernel = "${(await host.sh('ls /boot/vmlinuz-*')).trim()}"`,
      'ramdisk = "/usr/lib/lab/guest.img"',
      'memory = 160',
      'vcpus = 1',
      'extra = "console=hvc0 mitigations=off audit=0 random.trust_cpu=on"',
      `disk = [ ${disks.map((disk) => `"${specification(disk)}"`).join(', ')} ]`,
      ...['poweroff', 'reboot', 'crash'].map((event) => `on_${event} = "destroy"`),
    ].join('\n');
    await host.exec(['sh', '-c', 'cat >"$1"; rm -f "$2"', 'sh', guest.#file, guest.#log], {
      input: `${configuration}\n`,
    });
    await host.exec(['xl', 'create', guest.#file], { timeout: startLimit * 1000 });
    await eventually(`the guest ${name}`, { within: startLimit }, async () => {
      assert.match(await guest.console(), /lab-guest-ready/);
    });
    return guest;
  }

  /** Plugs a disk into the running guest, and waits until it has it. */
  async plug(disk: GuestDisk): Promise<void> {
    await this.#host.exec(['xl', 'block-attach', this.#name, specification(disk)], { timeout: 120_000 });
    await this.run(`until [ -b /dev/${disk.name} ]; do usleep 100000; done`);
  }

  /** Takes it out again, and waits until nobody has it open. */
  async unplug({ name, params }: GuestDisk): Promise<void> {
    await this.#host.exec(['xl', 'block-detach', this.#name, name], { timeout: 120_000 });
    await eventually(`${name} out of the guest`, { within: 60 }, async () => {
      assert.doesNotMatch(
        await this.#host.sh('xl block-list "$1" 2>/dev/null || true', [this.#name]),
        /^\d/m,
      );
      assert.equal(await this.#host.sh('fuser "$1" 2>/dev/null || true', [params]), '');
    });
  }

  /** Runs a command of the shell in the guest; gives what it printed. */
  async run(command: string): Promise<string> {
    const number = ++this.#commands;
    const before = (await this.console()).length;
    await this.#host.sh(
      'tty=$(xenstore-read "/local/domain/$(xl domid "$1")/console/tty"); printf "%s\\n" "$2" >"$tty"',
      [this.#name, `${number} ${command}`],
    );
    const end = new RegExp(`^lab-done ${number} (\\d+)$`, 'm');
    const text = await eventually(command, { within: commandLimit, every: 0.3 }, async () => {
      const said = (await this.console()).slice(before);
      assert.match(said, end);
      return said;
    });
    const printed = text.slice(0, end.exec(text)?.index);
    assert.equal(end.exec(text)?.[1], '0', `${command}: ${printed}`);
    return printed.trim();
  }

  /** All that it printed. */
  async console(): Promise<string> {
    const { stdout } = await this.#host.exec(['cat', this.#log], { expect: 'any' });
    return stdout.replaceAll('\r', '');
  }

  /** Ends it at once. */
  async destroy(): Promise<void> {
    await this.#host.exec(['xl', 'destroy', this.#name], { expect: 'any', timeout: 60_000 });
  }

  get #file(): string {
    return `/run/lab-${this.#name}.cfg`;
  }

  get #log(): string {
    return `/var/log/xen/console/guest-${this.#name}.log`;
  }
}

/** As xl-disk-configuration(5) has it. */
function specification({ params, name, backend }: GuestDisk): string {
  return `format=raw,vdev=${name},access=rw,backendtype=${backend},target=${params}`;
}

/** A row of numbered blocks that a guest writes. */
export class GuestWriter {
  readonly #guest: XenGuest;
  readonly #disk: GuestDisk;
  readonly stamp: string;
  /** Places on the disk, after which it begins anew. */
  readonly room = 256;

  constructor(guest: XenGuest, disk: GuestDisk, stamp: string) {
    this.#guest = guest;
    this.#disk = disk;
    this.stamp = stamp;
  }

  async start(): Promise<void> {
    const { name } = this.#disk;
    await this.#guest.run(
      `rm -f /run/stop; write-blocks /dev/${name} ${this.stamp} ${this.room} /run/stop &`,
    );
  }

  /** How many blocks the guest has said to be on the medium. */
  async count(): Promise<number> {
    const said = await this.#guest.console();
    assert.doesNotMatch(said, /lab-failed/, 'the guest saw an error');
    return said.split(`lab-written ${this.stamp} `).length - 1;
  }

  /** Waits until there are some more. */
  async more(blocks: number): Promise<void> {
    const wanted = (await this.count()) + blocks;
    await eventually(`${blocks} more blocks of the guest`, { within: 180 }, async () => {
      assert((await this.count()) >= wanted);
    });
  }

  async stop(): Promise<void> {
    await this.#guest.run('touch /run/stop; while pidof write-blocks >/dev/null; do usleep 100000; done');
  }

  /** Compares what is on a device of a host with what the guest said to be there. */
  async check(host: Host, device: string): Promise<string> {
    const count = await this.count();
    const text = await host.sh(
      'dd if="$1" bs=4096 count="$2" iflag=direct status=none | tr -d "\\0"',
      [device, String(this.room)],
      { timeout: 120_000 },
    );
    const found = new Map(
      text.split('\n').flatMap((line) => {
        const [stamp, number] = line.split(' ');
        return stamp === this.stamp ? [[Number(number) % this.room, Number(number)] as const] : [];
      }),
    );
    for (let number = Math.max(0, count - this.room); number < count; number++) {
      const there = found.get(number % this.room) ?? -1;
      assert(there >= number, `block ${number} of the guest: ${there}`);
    }
    return `${count} blocks of the guest are there`;
  }
}
