import type { Image } from '../catalog/images.ts';
import { imageName } from '../layout/sr-folder.ts';
import { type Diagnosis, type GoodFile, isGood } from './diagnosis.ts';
import type { ImageFile } from './files.ts';
import { parentOf } from './unknown-images.ts';

/** Makes rows and headers say the same about formats and parents, and finds what is its own ancestor. */
export function compareParents(diagnosis: Diagnosis): void {
  for (const image of [...diagnosis.images.values()]) {
    if (diagnosis.isUnsettled(image.uuid) || diagnosis.adopted.has(image.uuid)) continue;
    const row = withFormat(diagnosis, image);
    const file = diagnosis.fileOf(row);
    if (isGood(file)) compareParent(diagnosis, row, file);
    else if (file?.seen !== undefined) findDamage(diagnosis, file);
  }
  for (const { uuid } of diagnosis.images.values()) {
    if (!isRing(diagnosis, uuid)) continue;
    diagnosis.find({
      what: `The image ${uuid} is its own ancestor, as the catalog and the images say it`,
      advice: 'it cannot be read; restore what its header was from a backup',
    });
  }
}

/** An image whose file has another format than the row: a name of a file says which it has. */
function withFormat(diagnosis: Diagnosis, image: Image): Image {
  const file = diagnosis.fileOfUuid(image.uuid);
  if (file === undefined || file.format === image.format) return image;
  const row = { ...image, format: file.format };
  diagnosis.images.set(image.uuid, row);
  diagnosis.find({
    what: `The image ${image.uuid} is ${image.format} in the catalog, and its file is ${file.name}`,
    repair: `puts ${file.format} into the catalog`,
  });
  return row;
}

function compareParent(diagnosis: Diagnosis, row: Image, file: GoodFile): void {
  const named = parentOf(diagnosis, file);
  const parent = row.parent === undefined ? undefined : diagnosis.images.get(row.parent);
  const parentFile = parent && diagnosis.fileOf(parent);
  const { backing } = file.seen.header;
  const agree =
    backing === undefined
      ? row.parent === undefined
      : parent !== undefined && backing.name === imageName(parent) && backing.format === parent.format;
  if (agree && !(diagnosis.evidence.restored && isRing(diagnosis, row.uuid))) return;
  const says =
    backing === undefined ? 'no parent' : `the parent ${JSON.stringify(backing.name.slice(0, 100))}`;
  const what = `The image ${file.name} names ${says}, and the catalog ${row.parent === undefined ? 'none' : `${row.parent}`}`;
  // A catalog that is whole is right, for headers have no checksum; one of another time knows less than they do.
  const usable = row.parent === undefined || (parentFile !== undefined && row.format !== 'raw');
  if (!diagnosis.evidence.restored && usable && !isRing(diagnosis, row.uuid)) {
    diagnosis.unsettled.push(row);
    diagnosis.find({ what, repair: `names ${parentFile?.name ?? 'none'} in the image` });
  } else if (named !== 'unknown') {
    diagnosis.images.set(row.uuid, { ...row, parent: named });
    diagnosis.find({ what, repair: 'puts what the image says into the catalog' });
  } else {
    diagnosis.find({ what, advice: 'put the parent back into the folder of images' });
  }
}

function findDamage(diagnosis: Diagnosis, { name, seen }: ImageFile): void {
  if (seen === undefined || !('damage' in seen.header)) return;
  diagnosis.find({
    what: `The image ${name} cannot be used (${seen.header.damage.replace(/[.;].*$/s, '')})`,
    advice: 'restore it from a backup, or let qemu-img check -r all have a try on a copy',
  });
}

/** Whether the rows lead from an image back to it. */
export function isRing({ images }: Diagnosis, uuid: string): boolean {
  const seen = new Set<string>();
  for (let next = images.get(uuid)?.parent; next !== undefined && !seen.has(next); ) {
    if (next === uuid) return true;
    seen.add(next);
    next = images.get(next)?.parent;
  }
  return false;
}
