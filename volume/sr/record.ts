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
    throw recordFailed('written', error);
  }
}

/** Records that an SR is not attached any more. */
export function forgetAttached(uuid: string): void {
  try {
    removeFile(attachedFile(uuid));
  } catch (error) {
    throw recordFailed('removed', error);
  }
}

function recordFailed(what: string, cause: unknown): PluginError {
  return new PluginError(
    'RecordFailed',
    `This host's record of the SR cannot be ${what} below ${attachedFolder()} (${(cause as NodeJS.ErrnoException).code ?? cause}); make room there, or make it writable.`,
    { cause },
  );
}
