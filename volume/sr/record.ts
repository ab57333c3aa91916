/** Writing of the records of attached SRs. */
import { mkdirSync, rmSync } from 'node:fs';
import { writeFileAtomically } from '../../src/atomic-file.ts';
import { maskSecrets } from '../../src/log.ts';
import { type AttachedSr, attachedFile, attachedFolder } from './attached.ts';

/** Records an SR as attached on this host, or what changed about it. */
export function recordAttached(sr: AttachedSr): void {
  mkdirSync(attachedFolder(), { recursive: true, mode: 0o700 });
  const record = { ...sr, configuration: maskSecrets(sr.configuration) };
  writeFileAtomically(attachedFile(sr.uuid), `${JSON.stringify(record)}\n`);
}

/** Records that an SR is not attached any more. */
export function forgetAttached(uuid: string): void {
  rmSync(attachedFile(uuid), { force: true });
}
