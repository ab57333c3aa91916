import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { createServer, connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

// ext4 ends at 16 TiB; a sparse file on tmpfs may be of any size.
const SPARSE = '/dev/shm';

/**
 * For tgtd and tgtadm: where their control socket is, and nothing of what a sanitizer had preloaded, for its
 * findings in tgt are not what we look for.
 */
const environment = (directory: string) => ({
  ...process.env,
  LD_PRELOAD: '',
  TGT_IPC_SOCKET: join(directory, 'control'),
});

/** A TCP port that is free on the address now. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, host, resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error(`no port on ${host}`);
  return address.port;
}

async function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = dial({ host, port });
    const done = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => done(true)).once('error', () => done(false));
  });
}

export interface LunOptions {
  readonly lun: number;
  /** Bytes of a sparse file that is made for it; or give `path`. Without both: tgt's null store of 1 TiB. */
  readonly size?: number;
  readonly path?: string;
  readonly blockSize?: number;
  readonly readOnly?: boolean;
  /** SCSI id; tgt builds designators of page 83h from it. */
  readonly scsiId?: string;
  readonly serial?: string;
  readonly vendor?: string;
  readonly product?: string;
}

/**
 * A real tgtd of one's own: own port on loopback, own control port, own
 * directory. It serves the tests, and whatever else needs a target for a while.
 */
export class Tgtd implements AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly directory: string;
  readonly #controlPort: number;
  readonly #process: ReturnType<typeof spawn>;
  readonly #exited: Promise<unknown>;
  #targets = 0;

  private constructor(
    host: string,
    port: number,
    directory: string,
    controlPort: number,
    process: ReturnType<typeof spawn>,
  ) {
    this.host = host;
    this.port = port;
    this.directory = directory;
    this.#controlPort = controlPort;
    this.#process = process;
    this.#exited = new Promise((resolve) => process.once('exit', resolve));
  }

  /** Starts it on an address of this machine, its files below `parent`; ready when it resolves. */
  static async start(host = '127.0.0.1', parent = existsSync(SPARSE) ? SPARSE : tmpdir()): Promise<Tgtd> {
    const directory = await mkdtemp(join(parent, 'tgtd-'));
    for (let attempt = 0; ; attempt++) {
      const port = await freePort(host);
      // Not a TCP port: it names the control socket under /var/run/tgtd, up to 32767.
      const controlPort = 1_000 + Math.floor(Math.random() * 31_000);
      const portal = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
      const kill = () => child.kill('SIGKILL');
      const child = spawn('tgtd', ['-f', '-C', String(controlPort), '--iscsi', `portal=${portal}`], {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: environment(directory),
      });
      let gone = false;
      let said = '';
      child.stderr?.on('data', (chunk: Buffer) => {
        said += chunk.toString();
      });
      // A test that dies must not leave it behind.
      process.once('exit', kill);
      for (const event of ['exit', 'error']) {
        child.once(event, () => {
          gone = true;
          process.off('exit', kill);
        });
      }
      for (let i = 0; i < 200 && !gone; i++) {
        if (await accepts(host, port)) {
          const tgtd = new Tgtd(host, port, directory, controlPort, child);
          if (await tgtd.#controllable()) return tgtd;
        }
        await pause(25);
      }
      kill();
      if (attempt === 7) {
        await rm(directory, { recursive: true, force: true });
        throw new Error(`tgtd does not start on ${portal}: ${said.trim()}`);
      }
      await pause(100 * attempt);
    }
  }

  async #controllable(): Promise<boolean> {
    return this.control('--op', 'show', '--mode', 'system').then(
      () => true,
      () => false,
    );
  }

  get portal(): { host: string; port: number } {
    return { host: this.host, port: this.port };
  }

  get pid(): number {
    return this.#process.pid ?? -1;
  }

  /** tgtadm on this tgtd; returns what it prints. */
  async control(...args: string[]): Promise<string> {
    const { stdout } = await run('tgtadm', ['-C', String(this.#controlPort), '--lld', 'iscsi', ...args], {
      env: environment(this.directory),
    });
    return stdout;
  }

  /** A target that any initiator may use; returns tgt's number for it. */
  async addTarget(name: string): Promise<number> {
    const tid = ++this.#targets;
    await this.control('--op', 'new', '--mode', 'target', '--tid', `${tid}`, '-T', name);
    await this.control('--op', 'bind', '--mode', 'target', '--tid', `${tid}`, '-I', 'ALL');
    return tid;
  }

  /** Adds a unit; returns the path of the file behind it. */
  async addLun(tid: number, options: LunOptions): Promise<string> {
    const { lun, size, blockSize, readOnly, scsiId, serial, vendor, product } = options;
    const path = options.path ?? (size === undefined ? '/dev/null' : join(this.directory, `${tid}-${lun}`));
    if (options.path === undefined && size !== undefined) {
      const file = await open(path, 'w');
      await file.truncate(size);
      await file.close();
    }
    const unit = ['--mode', 'logicalunit', '--tid', `${tid}`, '--lun', `${lun}`];
    const store = size === undefined && options.path === undefined ? ['--bstype', 'null'] : [];
    const block = blockSize === undefined ? [] : ['--blocksize', `${blockSize}`];
    await this.control('--op', 'new', ...unit, '-b', path, ...store, ...block);
    const params = {
      scsi_id: scsiId,
      scsi_sn: serial,
      vendor_id: vendor,
      product_id: product,
      readonly: readOnly ? '1' : undefined,
    };
    for (const [key, value] of Object.entries(params)) {
      if (value === undefined) continue;
      await this.control('--op', 'update', ...unit, '--params', `${key}=${value}`);
    }
    return path;
  }

  /** Creates an account and asks it of initiators, or with `outgoing` gives it to the target to prove itself with. */
  async addChap(tid: number, user: string, secret: string, outgoing = false): Promise<void> {
    await this.control('--op', 'new', '--mode', 'account', '--user', user, '--password', secret);
    const direction = outgoing ? ['--outgoing'] : [];
    await this.control('--op', 'bind', '--mode', 'account', '--tid', `${tid}`, '--user', user, ...direction);
  }

  /** Ends it, and removes its files. */
  async stop(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#exited;
    // Its socket and the lock of it are there too.
    await rm(this.directory, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Starts a tgtd on the address; see {@link Tgtd}. */
export const startTgtd = (host?: string, parent?: string): Promise<Tgtd> => Tgtd.start(host, parent);
