/** The SRs that are attached on this host since it booted: one record each, below /run. */
import { readdirSync, readFileSync } from 'node:fs';
import { hostPaths } from '../../src/host-paths.ts';
import { NamedError } from '../../src/smapi/errors.ts';
import { isUuid } from '../../src/uuid.ts';

/** An attached SR. Its uuid is its handle. */
export interface AttachedSr {
  readonly uuid: string;
  readonly provider: 'path' | 'iscsi';
  /** Absolute path of the folder with the SR's files. */
  readonly path: string;
  /** The device-config it was attached with, secrets masked. */
  readonly configuration: Readonly<Record<string, string>>;
  /** Name and description when this host last had the catalog in hand. */
  readonly name: string;
  readonly description: string;
  /** From when SR.destroy takes the SR's own files away. */
  readonly vanishing?: true;
}

/** The folder of the records. */
export function attachedFolder(): string {
  return `${hostPaths.run}/sr`;
}

/** The record of an SR. */
export function attachedFile(uuid: string): string {
  return `${attachedFolder()}/${uuid}.json`;
}

/** An SR by its handle, undefined where it is not attached on this host, or its record is damaged. */
export function findAttached(sr: string): AttachedSr | undefined {
  // A handle is a caller's text: only a uuid may become part of a path.
  const uuid = sr.toLowerCase();
  if (!isUuid(uuid)) return undefined;
  try {
    const record = JSON.parse(readFileSync(attachedFile(uuid), 'utf8')) as Partial<AttachedSr> | null;
    return record?.uuid === uuid && typeof record.path === 'string' ? (record as AttachedSr) : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/**
 * An SR by its handle.
 *
 * @throws NamedError `Sr_not_attached`.
 */
export function getAttached(sr: string): AttachedSr {
  const attached = findAttached(sr);
  if (attached !== undefined) return attached;
  throw new NamedError(
    'Sr_not_attached',
    sr,
    `The SR ${JSON.stringify(sr.slice(0, 100))} is not attached on this host; attach it first (xe pbd-plug).`,
  );
}

/** The handles of all SRs that are attached on this host. */
export function listAttached(): readonly string[] {
  let names: readonly string[];
  try {
    names = readdirSync(attachedFolder());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return names.flatMap((name) => {
    const uuid = name.endsWith('.json') ? name.slice(0, -'.json'.length) : '';
    return isUuid(uuid) ? [uuid] : [];
  });
}
