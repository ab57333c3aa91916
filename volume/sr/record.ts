/** Writing of the records of attached SRs. */
import { mkdirSync } from 'node:fs';
import { removeFile, writeFileAtomically } from '../../src/atomic-file.ts';
import { maskSecrets } from '../../src/log.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { type AttachedSr, attachedFile, attachedFolder } from './attached.ts';

/** Records an SR as attached on this host, or what changed about it. */
export function recordAttached(sr: AttachedSr): void {
  const record = { ...sr, configuration: maskSecrets(sr.configuration) };
  try {
    mkdirSync(attachedFolder(), { recursive: true, mode: 0o700 });
    writeFileAtomically(attachedFile(sr.uuid), `${JSON.stringify(record)}\n`);
  } catch (error) {
    throw new PluginError(
      'RecordFailed',
      `This host's record of the SR cannot be written below ${attachedFolder()} (${(error as NodeJS.ErrnoException).code ?? error}); make room there, or make it writable.`,
      { cause: error },
    );
  }
}

/** Records that an SR is not attached any more. */
export function forgetAttached(uuid: string): void {
  removeFile(attachedFile(uuid));
}
