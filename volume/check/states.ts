import type { Image } from '../catalog/images.ts';
import { type Diagnosis, type GoodFile, isGood } from './diagnosis.ts';

/** Compares what an image is by its rows, its size and whether it may be written, with its file. */
export function compareStates(diagnosis: Diagnosis): void {
  const children = diagnosis.children();
  const users = diagnosis.users();
  for (const image of diagnosis.images.values()) {
    const file = diagnosis.fileOf(image);
    if (file === undefined || diagnosis.isUnsettled(image.uuid)) continue;
    if (file.user !== undefined) {
      diagnosis.notes.push(`The image ${file.name} is in use by ${file.user}, and was left alone.`);
      continue;
    }
    if (!isGood(file)) continue;
    const [user, ...others] = users.get(image.uuid) ?? [];
    const writable = user?.readWrite === true && others.length === 0 && !children.has(image.uuid);
    const modeFits = compareMode(diagnosis, file, writable ? 0o600 : 0o400);
    const sizeFits = compareSize(diagnosis, image, file);
    if (!modeFits || !sizeFits) diagnosis.unsettled.push(image);
  }
}

function compareMode(diagnosis: Diagnosis, { name, seen }: GoodFile, mode: number): boolean {
  if (seen.mode === mode) return true;
  diagnosis.find({
    what: `The image ${name} has the mode ${seen.mode.toString(8)}, and ${mode === 0o600 ? 'is one that may be written' : 'is frozen'}`,
    repair: `sets its mode to ${mode.toString(8)}`,
  });
  return false;
}

/** A disk never becomes smaller. */
function compareSize(diagnosis: Diagnosis, image: Image, { name, seen }: GoodFile): boolean {
  const { virtualSize } = seen.header;
  if (virtualSize === image.virtualSize) return true;
  const what = `The image ${name} has ${virtualSize} bytes, and ${image.virtualSize} in the catalog`;
  if (virtualSize > image.virtualSize) {
    diagnosis.find({ what, repair: `puts ${virtualSize} into the catalog` });
    return false;
  }
  diagnosis.find({
    what,
    repair: `grows it to ${image.virtualSize}, where what is new reads as zeros`,
    mend: {
      kind: 'grow',
      image,
      chain: diagnosis.chain(image.uuid).flatMap((uuid) => diagnosis.images.get(uuid) ?? []),
    },
  });
  return true;
}
