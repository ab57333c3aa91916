/** SRs in a directory of this host: for demonstration, development and tests; never shared. */
import { accessSync, closeSync, constants, existsSync, rmSync, statfsSync } from 'node:fs';
import { syncDirectory } from '../../src/atomic-file.ts';
import { waitsFor } from '../../src/deadline.ts';
import { faultPoint } from '../../src/fault-point.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { changeCatalog, identifySr, type NewSr, readCatalog } from '../catalog/catalog.ts';
import { isUnreachable, toStorageError } from '../catalog/errors.ts';
import { identifyDamaged } from '../catalog/identify.ts';
import { listImages } from '../catalog/images.ts';
import { listIntents } from '../catalog/intents.ts';
import { goneSr, lockCatalog } from '../catalog/lock.ts';
import { listVolumes, type VolumeRow } from '../catalog/volumes.ts';
import { parseDeviceConfig } from '../device-config.ts';
import { freeingLimit } from '../images/files.ts';
import { volumesInUse } from '../images/in-use.ts';
import { lockImage } from '../images/lock.ts';
import { foreignNames, makeSr } from '../layout/make.ts';
import { removeIfEmpty, removeSrFiles } from '../layout/remove.ts';
import { catalogFile, imageFile, imagesFolder, locksFolder } from '../layout/sr-folder.ts';
import type { AttachedSr } from '../sr/attached.ts';
import { recordAttached } from '../sr/record.ts';
import { checkPlaceForSr, resolveFolder } from './folder.ts';
import type { Configuration, Provider, Space } from './provider.ts';

/** SRs with `provider=path`. */
export const pathProvider: Provider = { clustered: false, create, attach, detach, destroy, space };

async function create(configuration: Configuration, identity: NewSr): Promise<Configuration> {
  const folder = folderOf(configuration);
  checkPlaceForSr(folder);
  // `force` is a consent for once: a PBD must not keep it.
  const { force, ...rest } = configuration;
  const answer = { ...rest, path: folder };
  if (existsSync(catalogFile(folder))) {
    const there = await identifySr(folder);
    // The call that made it may have died before its answer arrived.
    if (there.uuid === identity.uuid) return answer;
    throw new PluginError(
      'SRExists',
      `There is already the SR ${there.uuid} in ${folder}; attach it, destroy it, or choose another directory.`,
    );
  }
  const foreign = namesBeside(folder);
  if (foreign.length > 0 && force !== 'true') {
    throw new PluginError(
      'NotEmpty',
      `The directory ${folder} is not empty (it has ${JSON.stringify(foreign[0])}); empty it, choose another, or put force=true into the device-config to leave that beside the SR.`,
    );
  }
  await makeSr(folder, identity);
  return answer;
}

function namesBeside(folder: string): readonly string[] {
  try {
    return foreignNames(folder);
  } catch (error) {
    throw toStorageError(error, 'a look at what is there', folder);
  }
}

async function attach(configuration: Configuration, uuid: string): Promise<AttachedSr> {
  const path = folderOf(configuration);
  const { name, description } = await identifyDamaged({ path, uuid }, () =>
    readCatalog({ path, uuid }, ({ identity }) => identity, { evenDestroying: true }),
  );
  return { uuid, provider: 'path', path, configuration, name, description };
}

async function detach(sr: AttachedSr): Promise<void> {
  let running: readonly VolumeRow[];
  try {
    running = await readCatalog(
      sr,
      ({ database }) => listVolumes(database).filter(({ image }) => !isFree(imageFile(sr.path, image))),
      {
        evenDestroying: true,
      },
    );
  } catch (error) {
    // What cannot be reached holds nothing here.
    if (isUnreachable(error)) return;
    throw error;
  }
  if (running.length > 0) throw volumesInUse(running, 'the SR is detached');
}

async function destroy(sr: AttachedSr): Promise<void> {
  waitsFor(`the storage of the SR in ${sr.path}`);
  if (!existsSync(catalogFile(sr.path))) {
    if (sr.vanishing !== true) throw goneSr(sr.path);
    await removeRemains(sr.path);
    return;
  }
  await changeCatalog(
    sr,
    ({ database }) => {
      const volumes = listVolumes(database);
      const images = [...listImages(database), ...listIntents(database)];
      const refuse = (refused: readonly { uuid: string }[]): void => {
        const users = volumes.filter((row) => refused.some(({ uuid }) => uuid === row.image.uuid));
        if (refused.length > 0) throw volumesInUse(users, 'the SR is destroyed');
      };
      refuse(images.filter((image) => !isFree(imageFile(sr.path, image))));
      try {
        database.exec('UPDATE sr SET destroying = 1');
        faultPoint('destroy.marked');
        recordAttached({ ...sr, vanishing: true });
        // One by one, for there may be more images than a process may have files open. A disk that was
        // started since the look above stops this half-way, and a repeat goes on.
        refuse(images.filter((image) => !removeImage(sr, imageFile(sr.path, image))));
        if (existsSync(imagesFolder(sr.path))) syncDirectory(imagesFolder(sr.path));
        removeSrFiles(sr.path);
      } catch (error) {
        throw toStorageError(error, 'the removal of the SR', sr.path);
      }
    },
    { evenDestroying: true },
  );
}

function isFree(file: string): boolean {
  using lock = lockImage(file);
  return lock !== undefined;
}

/** Removes an image, and frees its blocks; false where its disk runs. */
function removeImage(sr: AttachedSr, file: string): boolean {
  waitsFor(`the storage of the SR in ${sr.path} to free the image ${file}`, freeingLimit);
  using lock = lockImage(file);
  if (lock === undefined) return false;
  rmSync(file, { force: true });
  faultPoint('destroy.image');
  return true;
}

/** Removes what a SR.destroy left that died, unless an SR has come there since. */
async function removeRemains(folder: string): Promise<void> {
  let lock: number;
  try {
    lock = await lockCatalog(folder, 'exclusive');
  } catch (error) {
    if (!isUnreachable(error)) throw error;
    removeIfEmpty(locksFolder(folder));
    return;
  }
  try {
    if (!existsSync(catalogFile(folder))) removeSrFiles(folder);
  } finally {
    closeSync(lock);
  }
}

function space({ path }: AttachedSr): Space {
  // A filesystem that the kernel made read-only after an error still tells its size.
  accessSync(path, constants.W_OK);
  const { bavail, blocks, bsize } = statfsSync(path, { bigint: true });
  return { free: bavail * bsize, total: blocks * bsize };
}

function folderOf(configuration: Configuration): string {
  const parsed = parseDeviceConfig(configuration);
  if (parsed.provider !== 'path') throw new TypeError('not a device-config of provider=path');
  return resolveFolder(parsed.path);
}
