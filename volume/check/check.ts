import { closeSync } from 'node:fs';
import { lockCatalog } from '../catalog/lock.ts';
import type { AttachedSr } from '../sr/attached.ts';
import type { Diagnosis } from './diagnosis.ts';
import { examine } from './examine.ts';
import type { Report } from './findings.ts';
import { checkableImages, checkContents } from './image-content.ts';

/**
 * Checks an SR, and changes nothing on it: what is there is compared under the catalog's shared lock, and then each
 * image is looked into that nobody uses.
 *
 * @param removesLost what a repair is to be told about volumes without their files.
 * @throws PluginError `CatalogTooNew`, `SRBeingDestroyed`, `SRUnreachable`, `LockTimeout`.
 */
export async function checkSr(sr: AttachedSr, removesLost = false): Promise<Report> {
  const diagnosis = await diagnoseSr(sr, removesLost);
  const contents = await checkContents(sr, checkableImages(diagnosis));
  return {
    findings: [...diagnosis.findings, ...contents.findings],
    notes: [...diagnosis.notes, ...contents.notes],
  };
}

async function diagnoseSr(sr: AttachedSr, removesLost: boolean): Promise<Diagnosis> {
  const lock = await lockCatalog(sr.path, 'shared');
  try {
    const { diagnosis, restored } = await examine(
      sr,
      removesLost,
      ({ folder }) => `${folder}/restored.sqlite`,
    );
    restored?.database.close();
    return diagnosis;
  } finally {
    closeSync(lock);
  }
}
