/** An SR for the benchmark of scale, in a directory, and what it takes to have it in a certain state. */
import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CallName, Parameters, Volume } from '../src/smapi/interface.ts';
import {
  entryFile,
  formatRequest,
  readAnswer,
  volumeCaller,
  volumePluginFolder,
} from '../test/support/xapi.ts';
import { inTransaction, openCatalog } from '../volume/catalog/database.ts';
import { addImage, type Image } from '../volume/catalog/images.ts';
import { addVolume } from '../volume/catalog/volumes.ts';
import { imageFile } from '../volume/layout/sr-folder.ts';
import { untilStandby } from './standby.ts';
import { type TimedProcess, timeProcess } from './whole-process.ts';

/** An SR of a directory; dispose of it to remove everything. */
export class ScaleSr implements AsyncDisposable {
  readonly folder: string;
  readonly path: string;
  readonly environment: { readonly GFS2_SR_RUN_DIR: string };
  readonly sr: string;
  readonly xapi: ReturnType<typeof volumeCaller>;
  #volumes = 0;

  private constructor(folder: string, sr: string) {
    this.folder = folder;
    this.path = join(folder, 'sr');
    this.environment = environmentOf(folder);
    this.sr = sr;
    this.xapi = volumeCaller(this.environment);
  }

  static async make(): Promise<ScaleSr> {
    const folder = mkdtempSync(join(tmpdir(), 'bench-scale-'));
    const path = join(folder, 'sr');
    mkdirSync(path);
    const xapi = volumeCaller(environmentOf(folder));
    const configuration = await xapi('SR.create', {
      uuid: crypto.randomUUID(),
      configuration: { provider: 'path', path, 'image-format': 'qcow2' },
      name: 'bench',
      description: '',
    });
    return new ScaleSr(folder, await xapi('SR.attach', { configuration }));
  }

  /** Makes the SR have `count` volumes, all with an image and with the keys that xapi sets. */
  grow(count: number): void {
    const database = openCatalog(this.path, 'write', this.sr);
    try {
      inTransaction(database, () => {
        for (; this.#volumes < count; this.#volumes++) {
          const image: Image = {
            uuid: crypto.randomUUID(),
            format: 'raw',
            parent: undefined,
            virtualSize: 1n << 30n,
            physicalSize: 0n,
          };
          const fd = openSync(imageFile(this.path, image), 'wx', 0o600);
          ftruncateSync(fd, Number(image.virtualSize));
          closeSync(fd);
          addImage(database, image);
          addVolume(database, {
            key: crypto.randomUUID(),
            name: `volume ${this.#volumes}`,
            description: 'one of many',
            readWrite: true,
            sharable: false,
            cbtEnabled: false,
            image,
            keys: {
              'vdi-type': 'user',
              'xapi:uuid': crypto.randomUUID(),
              'sm-config': '{"created_by":"bench"}',
            },
          });
        }
      });
    } finally {
      database.close();
    }
  }

  /** A snapshot with a chain of `depth` images, all of which hold data. */
  async makeSnapshot(size: bigint, depth: number): Promise<Volume> {
    let { key } = await this.xapi('Volume.create', {
      sr: this.sr,
      name: 'origin',
      description: '',
      size,
      sharable: false,
    });
    for (let images = 1; ; images++) {
      await this.#write(key);
      const snapshot = await this.xapi('Volume.snapshot', { sr: this.sr, key });
      await this.xapi('Volume.destroy', { sr: this.sr, key });
      if (images === depth) return snapshot;
      ({ key } = await this.xapi('Volume.clone', { sr: this.sr, key: snapshot.key }));
      await this.xapi('Volume.destroy', { sr: this.sr, key: snapshot.key });
    }
  }

  /** Makes a volume with a chain of one image more than a snapshot's, or of one image; the last is written. */
  async makeWritten(size: bigint, snapshot: string | undefined): Promise<string> {
    const { sr } = this;
    const { key } = await (snapshot === undefined
      ? this.xapi('Volume.create', { sr, name: 'written', description: '', size, sharable: false })
      : this.xapi('Volume.clone', { sr, key: snapshot }));
    await this.#write(key);
    return key;
  }

  /** Runs a call, start to exit, for which a process stands by, and answers its milliseconds. */
  async time<N extends CallName>(name: N, parameters: Omit<Parameters<N>, 'dbg'>): Promise<number> {
    await untilStandby(this.environment.GFS2_SR_RUN_DIR);
    return this.#run(name, parameters).milliseconds;
  }

  /**
   * Runs a call that makes a volume as {@link time} does, and destroys that volume.
   *
   * @param environment more variables for the call.
   */
  async timeMaking(
    name: 'Volume.snapshot' | 'Volume.clone',
    key: string,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<number> {
    await untilStandby(this.environment.GFS2_SR_RUN_DIR);
    const { milliseconds, stdout } = this.#run(name, { sr: this.sr, key }, environment);
    const made = readAnswer(name, { exitCode: 0, signal: null, stdout, stderr: '' });
    await this.destroy(made.key);
    return milliseconds;
  }

  async destroy(key: string): Promise<void> {
    await this.xapi('Volume.destroy', { sr: this.sr, key });
  }

  #run<N extends CallName>(
    name: N,
    parameters: Omit<Parameters<N>, 'dbg'>,
    environment: Readonly<Record<string, string>> = {},
  ): TimedProcess {
    const entry = entryFile(volumePluginFolder, name);
    return timeProcess(entry, ['--json'], formatRequest(name, parameters), {
      ...this.environment,
      ...environment,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.xapi('SR.detach', { sr: this.sr });
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #write(key: string): Promise<void> {
    const file = imageOf(await this.xapi('Volume.stat', { sr: this.sr, key }));
    const { status, stderr } = spawnSync('qemu-io', ['-f', 'qcow2', '-c', 'write 0 4k', file]);
    if (status !== 0) throw new Error(`qemu-io could not write to ${file}: ${stderr}`);
  }
}

/** The path of a volume's image. */
export function imageOf({ uri }: Volume): string {
  return decodeURIComponent(new URL(uri[0] ?? '').pathname);
}

function environmentOf(folder: string): { readonly GFS2_SR_RUN_DIR: string } {
  return { GFS2_SR_RUN_DIR: join(folder, 'run') };
}
