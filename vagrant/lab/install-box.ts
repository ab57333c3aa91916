/** Gives the lab's Vagrant and its libvirtd a box, without a copy of it. */
import { copyFileSync, linkSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type Box, boxName } from '../box/build.ts';
import { place } from './place.ts';

/** Vagrant wants one; what a box is, is said by its hash. */
const version = '1.0.0';

/** Puts the box where Vagrant keeps boxes, and its image where vagrant-libvirt would upload it to. */
export function installBox(box: Box): void {
  const folder = join(place.vagrantHome, 'boxes', boxName, version);
  mkdirSync(folder, { recursive: true });
  symlinkSync(box.folder, join(folder, 'libvirt'));
  mkdirSync(place.pool, { recursive: true });
  const image = join(place.pool, `${boxName}_vagrant_box_image_${version}_box.img`);
  try {
    linkSync(box.image, image);
  } catch {
    // The cache lies on another filesystem.
    copyFileSync(box.image, image);
  }
}
