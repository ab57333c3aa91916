/** Guests of a host's volumes: their disks run, as xapi has them run. */

import type { Volume } from '../../src/smapi/interface.ts';
import { diskProcesses, Host } from '../datapath/host.ts';
import { read } from './disk.ts';
import { Guest, guestBlock } from './guest.ts';
import { hasBlktap, listTapdisks } from './vhd.ts';
import type { VolumeHost } from './volume-host.ts';

const MiB = 1 << 20;

export class Guests {
  readonly #volumes: VolumeHost;
  readonly #disks: Host;

  constructor(volumes: VolumeHost, format: 'qcow2' | 'vhd' = 'qcow2') {
    this.#volumes = volumes;
    this.#disks = new Host(volumes.environment.GFS2_SR_RUN_DIR, `${format}+file`);
  }

  async stat({ key }: Pick<Volume, 'key'>): Promise<Volume> {
    return await this.#volumes.call('Volume.stat', { sr: this.#volumes.uuid, key });
  }

  /** Has a volume's disk run, and a guest use it. */
  async start(volume: Volume): Promise<Guest> {
    const [uri = ''] = (await this.stat(volume)).uri;
    const socket = await this.#disks.socket(uri);
    const call = volume.read_write ? 'Datapath.activate' : 'Datapath.activate_readonly';
    await this.#disks.call(call, { uri, domain: '1' });
    return new Guest(socket, volume.read_write);
  }

  /** Ends both. */
  async stop(volume: Volume, guest: Guest): Promise<void> {
    await guest.leave();
    const [uri = ''] = (await this.stat(volume)).uri;
    await this.letGo(uri);
  }

  /** Lets a disk go. */
  async letGo(uri: string): Promise<void> {
    await this.#disks.call('Datapath.deactivate', { uri, domain: '1' });
    await this.#disks.call('Datapath.detach', { uri, domain: '1' });
  }

  /** What the first blocks of the first four mebibytes of a volume consist of, when its disk does not run. */
  async content(volume: Pick<Volume, 'key'>): Promise<readonly number[]> {
    const bytes = read(await this.stat(volume));
    return [0, 1, 2, 3].map((index) => {
      const block = bytes.subarray(index * MiB, index * MiB + guestBlock);
      if (block.some((byte) => byte !== block[0])) throw new Error('a block is not of one byte');
      return block[0] as number;
    });
  }

  /** Ends all processes of disks, as when the host loses its power; answers which there were. */
  kill(): readonly number[] {
    const { folder } = this.#volumes;
    const tapdisks = hasBlktap ? listTapdisks().filter(({ path }) => path.startsWith(`${folder}/`)) : [];
    const left = [...diskProcesses(folder), ...tapdisks.map(({ name }) => Number.parseInt(name, 10))];
    for (const pid of left) process.kill(pid, 'SIGKILL');
    return left;
  }
}
