import { imageName } from '../layout/sr-folder.ts';
import { type Diagnosis, type GoodFile, isGood } from './diagnosis.ts';
import type { ImageFile } from './files.ts';

/**
 * Gives rows to images that have none, as their files say; what is no image is kept aside, and nothing is removed.
 * Whose they are is found out by assignVolumes.
 */
export function adoptImages(diagnosis: Diagnosis): void {
  const { files } = diagnosis.evidence;
  for (const name of files.others) {
    diagnosis.find({
      what: `In the folder of images is ${JSON.stringify(name)}, which is no image`,
      repair: 'keeps it aside',
      mend: { kind: 'aside', name },
    });
  }
  for (const file of files.images.values()) {
    if (diagnosis.isUnsettled(file.uuid)) continue;
    const row = diagnosis.images.get(file.uuid);
    if (row === undefined) adopt(diagnosis, file);
    else if (row.format !== file.format && diagnosis.fileOf(row) !== undefined) {
      diagnosis.find({
        what: `Of the image ${file.uuid} there is a second file, ${file.name}`,
        repair: 'keeps it aside',
        mend: { kind: 'aside', name: file.name },
      });
    }
  }
}

function adopt(diagnosis: Diagnosis, file: ImageFile): void {
  const { name, uuid, format, user, seen } = file;
  // What is being written, such as a copy, has no parent; a disk that runs has its row from when it had not.
  const runs = user !== undefined;
  if (runs && !(diagnosis.evidence.restored && isGood(file) && file.seen.header.backing !== undefined)) {
    diagnosis.notes.push(
      `The image ${name} is not in the catalog, and ${user} uses it; check again when it is free.`,
    );
    return;
  }
  if (!isGood(file)) {
    const why = seen !== undefined && 'damage' in seen.header ? ` (${seen.header.damage})` : '';
    diagnosis.find({
      what: `The image ${name} is not in the catalog, and cannot be used${why}`,
      repair: 'keeps it aside',
      mend: { kind: 'aside', name },
    });
    return;
  }
  const parent = parentOf(diagnosis, file);
  if (parent === 'unknown') {
    diagnosis.find({
      what: `The image ${name} is not in the catalog, and builds on ${JSON.stringify(file.seen.header.backing?.name.slice(0, 100))}, which is no image here`,
      advice: 'it becomes a volume once that image is back in the folder of images',
    });
    return;
  }
  diagnosis.adopted.add(uuid);
  const { virtualSize } = file.seen.header;
  diagnosis.images.set(uuid, { uuid, format, parent, virtualSize, physicalSize: file.seen.physicalSize });
}

/** The parent that a file names, by its uuid; undefined where it names none. */
export function parentOf(diagnosis: Diagnosis, file: GoodFile): string | undefined | 'unknown' {
  const { backing } = file.seen.header;
  if (backing === undefined) return undefined;
  const found = diagnosis.evidence.files.images.get(backing.name);
  const fits = found !== undefined && found.format === backing.format && found.name === imageName(found);
  return fits && found.uuid !== file.uuid ? found.uuid : 'unknown';
}
