/** The common part of a check and a repair: what the catalog says, what the files say, and what that comes to. */
import type { DatabaseSync } from 'node:sqlite';
import { listIntents } from '../catalog/intents.ts';
import { listSwitching } from '../catalog/merges.ts';
import type { AttachedSr } from '../sr/attached.ts';
import { type CatalogCopy, copyCatalog } from './catalog-copy.ts';
import { type Contents, readContents } from './contents.ts';
import { diagnose } from './diagnose.ts';
import type { Diagnosis } from './diagnosis.ts';
import { findFiles } from './files.ts';
import { type RestoredCatalog, restoreCatalog } from './restore.ts';

/** What an examination found. */
export interface Examination {
  readonly diagnosis: Diagnosis;
  /** The catalog made anew, where what was there cannot be used; its connection is open. */
  readonly restored: RestoredCatalog | undefined;
  /** The rows as they were read, or restored, before anything is mended. */
  readonly before: Contents;
}

/**
 * Examines an SR, whose catalog the caller has locked; changes nothing but `restoredFile`.
 *
 * @param restoredFile where a catalog is made anew, if it must be; on this host where that is for a look only.
 */
export async function examine(
  sr: AttachedSr,
  removesLost: boolean,
  restoredFile: (copy: CatalogCopy) => string,
): Promise<Examination> {
  using copy = copyCatalog(sr);
  if (copy.damage === undefined && copy.database !== undefined) {
    const before = readContents(copy.database);
    const evidence = {
      contents: before,
      restored: false,
      unsettled: new Set([
        ...listIntents(copy.database).map(({ uuid }) => uuid),
        ...listSwitching(copy.database).flatMap(({ parent, child }) => [parent, child]),
      ]),
      files: await findFiles(sr, knownTo(before)),
      removesLost,
    };
    const diagnosis = diagnose(evidence);
    noteUnsettled(diagnosis);
    findLooseKeys(copy.database, diagnosis);
    return { diagnosis, restored: undefined, before };
  }
  // Nothing is known for sure, so every image is looked into.
  const files = await findFiles(sr, () => false);
  const uuids = new Set([...files.images.values()].map(({ uuid }) => uuid));
  const restored = restoreCatalog(sr, restoredFile(copy), copy.database, (uuid) => uuids.has(uuid));
  const diagnosis = diagnose({
    contents: restored.contents,
    restored: true,
    unsettled: new Set(),
    files,
    removesLost,
  });
  diagnosis.findings.unshift({
    what: `The catalog in ${sr.path} cannot be used (${copy.damage})`,
    repair: `makes it anew from ${restored.source}, and keeps the damaged one aside`,
  });
  return { diagnosis, restored, before: restored.before };
}

function knownTo({ images }: Contents): (name: string) => boolean {
  const names = new Set([...images.values()].map(({ uuid, format }) => `${uuid}.${format}`));
  return (name) => names.has(name);
}

function noteUnsettled({ evidence: { unsettled }, notes }: Diagnosis): void {
  if (unsettled.size === 0) return;
  notes.push(
    `A call is at work on ${[...unsettled].slice(0, 3).join(', ')}${unsettled.size > 3 ? ` and ${unsettled.size - 3} more images` : ''}, or died there: the next call that can finishes or undoes that.`,
  );
}

function findLooseKeys(database: DatabaseSync, diagnosis: Diagnosis): void {
  const loose = database.prepare(
    'SELECT DISTINCT volume FROM keys WHERE volume NOT IN (SELECT key FROM volumes)',
  );
  for (const { volume } of loose.all()) {
    diagnosis.find({
      what: `The catalog has keys of the volume ${volume}, which is none`,
      repair: 'removes them',
    });
  }
}
