/** SRs in a directory of this host: for demonstration, development and tests; never shared. */
import { accessSync, constants, existsSync, rmSync, statfsSync } from 'node:fs';
import { syncDirectory } from '../../src/atomic-file.ts';
import { faultPoint } from '../../src/fault-point.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { changeCatalog, identifySr, readCatalog, type SrIdentity } from '../catalog/catalog.ts';
import { isUnreachable, toStorageError } from '../catalog/errors.ts';
import { listImages } from '../catalog/images.ts';
import { listIntents } from '../catalog/intents.ts';
import { goneSr } from '../catalog/lock.ts';
import { listVolumes, type VolumeRow } from '../catalog/volumes.ts';
import { parseDeviceConfig } from '../device-config.ts';
import { volumesInUse } from '../images/in-use.ts';
import { lockImage } from '../images/lock.ts';
import { foreignNames, makeSr } from '../layout/make.ts';
import { removeSrFiles } from '../layout/remove.ts';
import { catalogFile, imageFile, imagesFolder } from '../layout/sr-folder.ts';
import type { AttachedSr } from '../sr/attached.ts';
import { recordAttached } from '../sr/record.ts';
import { checkPlaceForSr, resolveFolder } from './folder.ts';
import type { Configuration, Provider, Space } from './provider.ts';

/** SRs with `provider=path`. */
export const pathProvider: Provider = { clustered: false, create, attach, detach, destroy, space };

async function create(configuration: Configuration, identity: SrIdentity): Promise<Configuration> {
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
  const foreign = foreignNames(folder);
  if (foreign.length > 0 && force !== 'true') {
    throw new PluginError(
      'NotEmpty',
      `The directory ${folder} is not empty (it has ${JSON.stringify(foreign[0])}); empty it, choose another, or put force=true into the device-config to leave that beside the SR.`,
    );
  }
  await makeSr(folder, identity);
  return answer;
}

async function attach(configuration: Configuration, uuid: string): Promise<AttachedSr> {
  const path = folderOf(configuration);
  const { name, description } = await readCatalog({ path, uuid }, ({ identity }) => identity, {
    evenDestroying: true,
  });
  return { uuid, provider: 'path', path, configuration, name, description };
}

async function detach(sr: AttachedSr): Promise<void> {
  let running: readonly VolumeRow[];
  try {
    running = await readCatalog(
      sr,
      ({ database }) => listVolumes(database).filter((row) => isInUse(sr, row)),
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

function isInUse(sr: AttachedSr, { image }: VolumeRow): boolean {
  using lock = lockImage(imageFile(sr.path, image));
  return lock === undefined;
}

async function destroy(sr: AttachedSr): Promise<void> {
  if (!existsSync(catalogFile(sr.path))) {
    if (sr.vanishing !== true) throw goneSr(sr.path);
    if (existsSync(sr.path)) removeSrFiles(sr.path);
    return;
  }
  using locks = new DisposableStack();
  await changeCatalog(
    sr,
    ({ database }) => {
      const volumes = listVolumes(database);
      const images = [...listImages(database), ...listIntents(database)];
      const files = images.map((image) => ({ image, file: imageFile(sr.path, image) }));
      const refused = files.filter(({ file }) => {
        const lock = lockImage(file);
        if (lock !== undefined) locks.use(lock);
        return lock === undefined;
      });
      if (refused.length > 0) {
        const users = volumes.filter((row) => refused.some(({ image }) => image.uuid === row.image.uuid));
        throw volumesInUse(users, 'the SR is destroyed');
      }
      try {
        database.exec('UPDATE sr SET destroying = 1');
        faultPoint('destroy.marked');
        recordAttached({ ...sr, vanishing: true });
        for (const { file } of files) {
          rmSync(file, { force: true });
          faultPoint('destroy.image');
        }
        if (existsSync(imagesFolder(sr.path))) syncDirectory(imagesFolder(sr.path));
        removeSrFiles(sr.path);
      } catch (error) {
        throw toStorageError(error, 'the removal of the SR', sr.path);
      }
    },
    { evenDestroying: true },
  );
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
