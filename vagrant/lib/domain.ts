/** A machine as libvirt sees it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mustRunOnHost } from './host-command.ts';

/** One network card of a machine. */
export interface Interface {
  /** The tap device on the host. */
  readonly device: string;
  /** The libvirt network it is on. */
  readonly network: string;
  readonly mac: string;
}

/** Reads the table that `virsh domiflist` prints. */
export function parseInterfaces(table: string): readonly Interface[] {
  return table.split('\n').flatMap((line) => {
    const [device, type, network, , mac] = line.trim().split(/\s+/);
    if (type !== 'network' || device === undefined || network === undefined || mac === undefined) return [];
    return [{ device, network, mac }];
  });
}

/** Reads from a domain's XML which file its first serial port is written to. */
export function parseConsoleFile(xml: string): string | undefined {
  const [serial] = /<serial type='file'>.*?<\/serial>/s.exec(xml) ?? [];
  return serial && /<source path='([^']*)'/.exec(serial)?.[1];
}

/** Runs virsh on one libvirtd. */
export class Virsh {
  readonly #uri: string;
  readonly #signal: AbortSignal | undefined;

  constructor(uri: string, signal: AbortSignal | undefined) {
    this.#uri = uri;
    this.#signal = signal;
  }

  /** @throws InfrastructureError with virsh's own words. */
  run(args: readonly string[]): Promise<string> {
    return mustRunOnHost(undefined, 'virsh', ['-q', '-c', this.#uri, ...args], {
      timeout: 60_000,
      signal: this.#signal,
    });
  }

  /** Runs a command that takes a file of XML; it stands at the end of the arguments. */
  async runWithXml(args: readonly string[], xml: string): Promise<string> {
    const folder = mkdtempSync(join(tmpdir(), 'virsh-'));
    const file = join(folder, 'definition.xml');
    writeFileSync(file, xml);
    try {
      return await this.run([...args, file]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
}
