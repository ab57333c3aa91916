/** Which image is which volume's, where rows and files leave that open. */
import { describeVolume } from '../images/in-use.ts';
import type { LabelledVolume } from '../images/label.ts';
import type { StoredVolume } from './contents.ts';
import { type Diagnosis, type GoodFile, isGood } from './diagnosis.ts';

/**
 * Gives every volume an image, and every image that nobody knows a volume. Whose an image is, its label says; where
 * that does not help, volumes are made that a person can recognise. None ever loses its image to another.
 */
export function assignVolumes(diagnosis: Diagnosis): void {
  if (diagnosis.evidence.restored) forgetDestroyed(diagnosis);
  const children = diagnosis.children();
  let users = diagnosis.users();
  for (const volume of [...diagnosis.volumes.values()]) {
    if (followVolume(diagnosis, volume, children, users)) users = diagnosis.users();
  }
  recoverVolumes(diagnosis);
  protectShared(diagnosis);
}

/** Snapshots that were destroyed since the rows were written, for then what was theirs was merged. */
function forgetDestroyed(diagnosis: Diagnosis): void {
  const children = diagnosis.children();
  for (const volume of [...diagnosis.volumes.values()]) {
    const { image } = volume;
    if (volume.readWrite || diagnosis.isUnsettled(image)) continue;
    const file = diagnosis.fileOfUuid(image);
    const label = file?.seen?.label;
    const isAnothers =
      typeof label === 'object' &&
      label.readWrite &&
      label.key !== volume.key &&
      isWritableFile(diagnosis, image);
    // A file that was lost would still be named by those that build on it.
    const isGone = file === undefined && !children.has(image) && hadChildren(diagnosis, image);
    if (label !== 'merging' && !isAnothers && !isGone) continue;
    diagnosis.volumes.delete(volume.key);
    diagnosis.find({
      what: `The snapshot ${describeVolume(volume)} was destroyed since, for its image ${image} was merged with another`,
      repair: 'leaves it out of the catalog',
    });
  }
}

/** Whether images that are there built on an image when the rows were written. */
function hadChildren(diagnosis: Diagnosis, uuid: string): boolean {
  return diagnosis.evidence.contents.images
    .values()
    .some(({ uuid: child, parent }) => parent === uuid && diagnosis.fileOfUuid(child) !== undefined);
}

/** A read-write volume whose image was frozen or dropped since the row was written: it has another one now. */
function followVolume(
  diagnosis: Diagnosis,
  volume: StoredVolume,
  children: ReturnType<Diagnosis['children']>,
  users: ReturnType<Diagnosis['users']>,
): boolean {
  if (!volume.readWrite || diagnosis.isUnsettled(volume.image)) return false;
  const isFree = (uuid: string): boolean => !children.has(uuid) && !users.has(uuid);
  const row = diagnosis.images.get(volume.image);
  const there = row !== undefined && diagnosis.fileOf(row) !== undefined;
  if (there && !children.has(volume.image) && users.get(volume.image)?.length === 1) return false;
  const leaves = [...diagnosis.adopted].filter((uuid) => isFree(uuid) && isWritableFile(diagnosis, uuid));
  // Also one that others built on, whose files have gone since: a merge has moved the volume to it.
  const labelled = [...diagnosis.images.keys()].find((uuid) => {
    const label = labelOf(diagnosis, uuid);
    if (label?.readWrite !== true || label.key !== volume.key) return false;
    const hasChild = children.get(uuid)?.some((child) => diagnosis.fileOf(child) !== undefined) === true;
    return !hasChild && !users.has(uuid) && isWritableFile(diagnosis, uuid);
  });
  const builtOn = leaves.filter(
    (uuid) => labelOf(diagnosis, uuid) === undefined && diagnosis.chain(uuid).includes(volume.image),
  );
  // A merge leaves a volume the image that its own built on.
  const merged = there
    ? undefined
    : diagnosis.chain(volume.image).find((uuid) => isFree(uuid) && isWritableFile(diagnosis, uuid));
  const found = labelled ?? (builtOn.length === 1 ? builtOn[0] : undefined) ?? merged;
  if (found === undefined) return false;
  diagnosis.volumes.set(volume.key, { ...volume, image: found });
  diagnosis.left.add(volume.image);
  // Nobody builds on one that is gone.
  if (!there && !children.has(volume.image)) diagnosis.images.delete(volume.image);
  diagnosis.find({
    what: `The image of the volume ${describeVolume(volume)} is ${volume.image} in the catalog, and on the storage it has been ${found} since`,
    repair: 'puts that into the catalog',
  });
  return true;
}

function recoverVolumes(diagnosis: Diagnosis): void {
  const children = diagnosis.children();
  const users = diagnosis.users();
  for (const image of diagnosis.images.values()) {
    const { uuid } = image;
    const file = diagnosis.fileOf(image);
    if (file === undefined || diagnosis.isUnsettled(uuid)) continue;
    const isAdopted = diagnosis.adopted.has(uuid);
    if (users.has(uuid)) {
      if (isAdopted) findRowless(diagnosis, uuid, users);
      continue;
    }
    const hasChildren = children.has(uuid);
    const isUnknown = isAdopted || diagnosis.left.has(uuid);
    const isInner =
      hasChildren && (!isUnknown || file.seen?.label === 'none' || file.seen?.label === 'merging');
    if (isInner) {
      if (isAdopted) {
        diagnosis.find({
          what: `The image ${file.name}, on which others build, is not in the catalog`,
          repair: 'puts it there',
        });
      }
      continue;
    }
    if (!isGood(file)) continue;
    const label = labelOf(diagnosis, uuid);
    const own = label !== undefined && !diagnosis.volumes.has(label.key) ? label : undefined;
    const writable = !hasChildren && isWritableFile(diagnosis, uuid);
    const volume =
      own === undefined ? recovered(diagnosis, users, file, writable) : fromLabel(own, file, writable);
    diagnosis.volumes.set(volume.key, volume);
    diagnosis.find({
      what: `The image ${file.name} is ${isAdopted ? 'not in the catalog' : "no volume's, says the catalog"}`,
      repair: `makes it the ${volume.readWrite ? 'volume' : 'read-only volume'} ${describeVolume(volume)}`,
    });
  }
}

/** An image without a row, of which a volume's row knows. */
function findRowless(diagnosis: Diagnosis, uuid: string, users: ReturnType<Diagnosis['users']>): void {
  const { volumes } = diagnosis.evidence.contents;
  const owner = users.get(uuid)?.find(({ key }) => volumes.get(key)?.image === uuid);
  if (owner === undefined) return;
  diagnosis.find({
    what: `The image ${uuid} of the volume ${describeVolume(owner)} is not in the catalog`,
    repair: 'puts it there',
  });
}

/** A volume under the key that it had. */
function fromLabel(label: LabelledVolume, { uuid, name, seen }: GoodFile, writable: boolean): StoredVolume {
  return {
    key: label.key,
    image: uuid,
    name: label.name,
    description: describeOrigin(name, seen.modified),
    readWrite: label.readWrite && writable,
    sharable: label.sharable && writable,
    keys: { 'vdi-type': 'user' },
  };
}

/** A volume that nobody had, or of which nobody knows whose it was: its key is the image's uuid. */
function recovered(
  diagnosis: Diagnosis,
  users: ReturnType<Diagnosis['users']>,
  { uuid, name, seen }: GoodFile,
  writable: boolean,
): StoredVolume {
  const family = diagnosis
    .chain(uuid)
    .flatMap((ancestor) => users.get(ancestor) ?? [])
    .at(0);
  const of = family === undefined ? '' : ` of ${family.name.slice(0, 100)}`;
  return {
    key: uuid,
    image: uuid,
    name: `Recovered ${uuid.slice(0, 8)}${of}`,
    description: describeOrigin(name, seen.modified),
    readWrite: writable,
    sharable: false,
    keys: { 'vdi-type': 'user' },
  };
}

function describeOrigin(name: string, modified: Date): string {
  return `Recovered from the image ${name}, last written ${modified.toISOString()}`;
}

/** What several volumes or a child have is never written again. */
function protectShared(diagnosis: Diagnosis): void {
  const children = diagnosis.children();
  for (const [image, users] of diagnosis.users()) {
    if (users.length === 1 && !children.has(image)) continue;
    for (const volume of users.filter(({ readWrite }) => readWrite)) {
      diagnosis.volumes.set(volume.key, { ...volume, readWrite: false, sharable: false });
      diagnosis.find({
        what: `The volume ${describeVolume(volume)} can be written, though ${children.has(image) ? 'other images build on' : 'other volumes have'} its image ${image}`,
        repair: 'makes it read-only, so that a clone of it can be used',
      });
    }
  }
}

function labelOf(diagnosis: Diagnosis, uuid: string): LabelledVolume | undefined {
  const label = diagnosis.fileOfUuid(uuid)?.seen?.label;
  return typeof label === 'object' ? label : undefined;
}

function isWritableFile(diagnosis: Diagnosis, uuid: string): boolean {
  const mode = diagnosis.fileOfUuid(uuid)?.seen?.mode;
  return mode !== undefined && (mode & 0o200) !== 0;
}
