import { closeSync, rmSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { tryToBackUp } from '../catalog/backup-due.ts';
import { openCatalog } from '../catalog/database.ts';
import { toStorageError } from '../catalog/errors.ts';
import type { Image } from '../catalog/images.ts';
import { listIntents, removeIntent } from '../catalog/intents.ts';
import { lockCatalog } from '../catalog/lock.ts';
import { settleIntents } from '../catalog/settle.ts';
import { imageName } from '../layout/sr-folder.ts';
import type { AttachedSr } from '../sr/attached.ts';
import { writeContents } from './contents.ts';
import type { Diagnosis } from './diagnosis.ts';
import { examine } from './examine.ts';
import { stopAt } from './fault-points.ts';
import type { Finding, Report } from './findings.ts';
import { checkableImages, checkContents } from './image-content.ts';
import { mendFile } from './mend-files.ts';
import { repairedCatalogFile, replaceCatalog } from './replace-catalog.ts';

/**
 * Repairs an SR: what is there is compared and mended under the catalog's exclusive lock, and then each image is
 * looked into that nobody uses. Nothing is removed, but rows where `removesLost` asks for it. What a repair that died
 * had not done yet, the next one does.
 *
 * @param removesLost whether volumes without their files are removed.
 * @returns what was found, with what was done about it, and what was left alone.
 * @throws PluginError `CatalogTooNew`, `SRBeingDestroyed`, `SRUnreachable`, `LockTimeout`, `SRNotWritable`; NumberedError `NoSpace`.
 */
export async function repairSr(sr: AttachedSr, removesLost = false): Promise<Report> {
  const { diagnosis, notes } = await repairCatalog(sr, removesLost);
  const contents = await checkContents(sr, checkableImages(diagnosis));
  const leftLeaking = await mendFiles(sr, contents.findings);
  if (contents.findings.length > 0) stopAt('repair.leaks');
  return {
    findings: [...diagnosis.findings, ...contents.findings],
    notes: [...diagnosis.notes, ...notes, ...contents.notes, ...leftLeaking],
  };
}

async function repairCatalog(
  sr: AttachedSr,
  removesLost: boolean,
): Promise<{ readonly diagnosis: Diagnosis; readonly notes: readonly string[] }> {
  const lock = await lockCatalog(sr.path, 'exclusive');
  try {
    await settleCalls(sr);
    const { diagnosis, restored, before } = await examine(sr, removesLost, () =>
      repairedCatalogFile(sr.path),
    );
    const after = { images: diagnosis.images, volumes: diagnosis.volumes };
    if (restored !== undefined) {
      writeContents(restored.database, before, after, diagnosis.unsettled);
      restored.database.close();
      replaceCatalog(sr.path, restored.damagedBackups);
    }
    const database = openCatalog(sr.path, 'write', sr.uuid);
    try {
      if (restored === undefined && diagnosis.findings.length > 0) {
        await tryToBackUp(sr);
        writeContents(database, before, after, diagnosis.unsettled);
      }
      stopAt('repair.rows');
      const left = await settle(database, sr, diagnosis.unsettled);
      stopAt('repair.settled');
      const notes = [...left, ...(await mendFiles(sr, diagnosis.findings))];
      stopAt('repair.file');
      return { diagnosis, notes };
    } finally {
      database.close();
      await tryToBackUp(sr);
    }
  } catch (error) {
    rmSync(repairedCatalogFile(sr.path), { force: true });
    throw toStorageError(error, 'a repair of the SR', sr.path, sr.uuid);
  } finally {
    closeSync(lock);
  }
}

/** Lets be finished or undone what calls left that died, where the catalog can be used. */
async function settleCalls(sr: AttachedSr): Promise<void> {
  let database: DatabaseSync;
  try {
    database = openCatalog(sr.path, 'write', sr.uuid);
  } catch {
    return;
  }
  try {
    await settleIntents(database, sr.path);
  } catch {
    // Its damage is found by the examination.
  } finally {
    database.close();
  }
}

/** Makes files what the rows say; whom that cannot be done for now keeps no intent, for the rows are right. */
async function settle(
  database: DatabaseSync,
  { path }: AttachedSr,
  images: readonly Image[],
): Promise<readonly string[]> {
  if (images.length === 0) return [];
  await settleIntents(database, path);
  const open = new Set(listIntents(database).map(({ uuid }) => uuid));
  return images.flatMap((image) => {
    if (!open.has(image.uuid)) return [];
    removeIntent(database, image);
    return [`The image ${imageName(image)} is in use, and was left alone; repair again when it is free.`];
  });
}

async function mendFiles(sr: AttachedSr, findings: readonly Finding[]): Promise<readonly string[]> {
  const notes: string[] = [];
  for (const { what, mend } of findings) {
    if (mend === undefined) continue;
    try {
      if (!(await mendFile(sr, mend))) notes.push(`${what}, and is in use: it was left alone.`);
    } catch (error) {
      notes.push(`${what}, and could not be mended: ${(error as Error).message}`);
    }
  }
  return notes;
}
