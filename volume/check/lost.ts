import { describeVolume } from '../images/in-use.ts';
import type { Diagnosis } from './diagnosis.ts';

/** Finds volumes whose data cannot be read, for an image is missing; removes them where that is asked for. */
export function findLost(diagnosis: Diagnosis): void {
  if (diagnosis.evidence.restored) forgetRemoved(diagnosis);
  const isMissing = (uuid: string): boolean => {
    const image = diagnosis.images.get(uuid);
    return !diagnosis.isUnsettled(uuid) && (image === undefined || diagnosis.fileOf(image) === undefined);
  };
  const missingBelow = (uuid: string): string | undefined => {
    const chain = diagnosis.chain(uuid);
    const root = diagnosis.images.get(chain.at(-1) ?? '')?.parent;
    return [...chain, ...(root === undefined || chain.includes(root) ? [] : [root])].find(isMissing);
  };
  for (const volume of [...diagnosis.volumes.values()]) {
    const missing = missingBelow(volume.image);
    if (missing === undefined) continue;
    const what = `The volume ${describeVolume(volume)} is lost: the image ${missing}, which it needs, is missing`;
    if (!diagnosis.evidence.removesLost) {
      diagnosis.find({
        what,
        advice: 'put the file back into the folder of images, or let repair --remove-lost remove the volume',
      });
      continue;
    }
    diagnosis.volumes.delete(volume.key);
    diagnosis.find({ what, repair: 'removes the volume from the catalog' });
  }
  const unreadable = [...diagnosis.images.values()].filter(({ uuid }) => missingBelow(uuid) !== undefined);
  const users = diagnosis.users();
  for (const image of unreadable) {
    const isUsed = users.has(image.uuid);
    const file = diagnosis.fileOf(image);
    if (isUsed) continue;
    if (!diagnosis.evidence.removesLost) {
      if (file === undefined) {
        diagnosis.find({
          what: `The image ${image.uuid} is missing`,
          advice: 'put the file back into the folder of images, or let repair --remove-lost forget it',
        });
      }
      continue;
    }
    diagnosis.images.delete(image.uuid);
    diagnosis.find({
      what: `The image ${image.uuid} cannot be read${file === undefined ? ', for it is missing' : ' without its parent'}`,
      repair:
        file === undefined
          ? 'removes it from the catalog'
          : 'removes it from the catalog, and keeps its file aside',
      ...(file === undefined ? {} : { mend: { kind: 'aside', name: file.name } }),
    });
  }
}

/** Forgets images that were removed since the rows were written, as a destroyed volume's or a merged one is. */
function forgetRemoved(diagnosis: Diagnosis): void {
  const children = diagnosis.children();
  const users = diagnosis.users();
  const removed = [...diagnosis.images.values()].filter(
    (image) => diagnosis.fileOf(image) === undefined && !children.has(image.uuid) && !users.has(image.uuid),
  );
  for (const { uuid } of removed) {
    diagnosis.images.delete(uuid);
    diagnosis.find({
      what: `The image ${uuid} is gone, and nothing needs it`,
      repair: 'removes it from the catalog',
    });
  }
  if (removed.length > 0) forgetRemoved(diagnosis);
}
