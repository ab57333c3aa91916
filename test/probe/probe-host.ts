/** A host that probes as xapi makes it: one process a call, with an iSCSI name of its own. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProbeResult } from '../../src/smapi/interface.ts';
import { CallFailed, readAnswer, runProcess } from '../support/xapi.ts';

const main = join(import.meta.dirname, '../../volume/main.ts');

type Configuration = Readonly<Record<string, string>>;

export class ProbeHost {
  readonly folder = mkdtempSync(join(tmpdir(), 'probe-'));
  readonly initiatorName = 'iqn.2026-11.org.example:host-1';
  readonly #nameFile = join(this.folder, 'initiatorname.iscsi');

  constructor() {
    // As people write it: with a comment, and white space at the line's end.
    writeFileSync(this.#nameFile, `# the name of this host\nInitiatorName=${this.initiatorName}  \n`);
  }

  /** Probes, and holds the answer against what xapi-storage-script demands of every row. */
  async probe(configuration: Configuration): Promise<readonly ProbeResult[]> {
    const rows = await this.#call(configuration, []);
    for (const row of rows) {
      if (!row.complete && 'sr_uuid' in row.configuration) throw new Error('incomplete, but has sr_uuid');
      if (row.sr !== undefined && !row.configuration.sr_uuid) throw new Error('an SR without sr_uuid');
    }
    return rows;
  }

  /** Probes where that must fail. With `prefix` the call runs inside another command, such as unshare. */
  async failure(configuration: Configuration, prefix: readonly string[] = []): Promise<CallFailed> {
    try {
      await this.#call(configuration, prefix);
    } catch (error) {
      if (error instanceof CallFailed) return error;
      throw error;
    }
    throw new Error('the probe did not fail');
  }

  async #call(configuration: Configuration, prefix: readonly string[]): Promise<readonly ProbeResult[]> {
    const [command = '', ...args] = [...prefix, process.execPath, main, 'SR.probe', '--json'];
    const request = JSON.stringify({ dbg: 'test', configuration });
    const ended = await runProcess(command, args, request, {
      GFS2_SR_INITIATOR_NAME_FILE: this.#nameFile,
      GFS2_SR_RUN_DIR: join(this.folder, 'run'),
    });
    return readAnswer('SR.probe', ended);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
