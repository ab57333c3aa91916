/** Who on this host keeps a mount in use; told from /proc and /sys, without touching the mount. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { listRunningDisks } from '../../../datapath/live-control/index.ts';
import { imagesFolder } from '../../layout/sr-folder.ts';

/** UUIDs of the images below `folder` that are disks of this host now: those with a loop device or a process. */
export function activeImages(folder: string): readonly string[] {
  const loops = list('/sys/block').map((name) => read(`/sys/block/${name}/loop/backing_file`).trimEnd());
  const files = [...loops, ...listRunningDisks().map(({ image }) => image)];
  return files
    .filter((file) => file.startsWith(`${imagesFolder(folder)}/`))
    .map((file) => basename(file).split('.', 1)[0] ?? '');
}

/** Processes that have something below `folder` open, as `1234 (name)`. */
export function processesIn(folder: string): readonly string[] {
  const inside = (link: string): boolean => link === folder || link.startsWith(`${folder}/`);
  return list('/proc').flatMap((pid) => {
    if (!/^[0-9]+$/.test(pid)) return [];
    const links = ['cwd', 'root', 'exe', ...list(`/proc/${pid}/fd`).map((fd) => `fd/${fd}`)];
    const uses = links.some((link) => inside(readLink(`/proc/${pid}/${link}`)));
    return uses ? [`${pid} (${read(`/proc/${pid}/comm`).trim()})`] : [];
  });
}

/** The process that is mounting something at `path` or unmounting it, where there is one. */
export function mounterOf(path: string): string | undefined {
  return list('/proc').find((pid) => {
    if (!/^[0-9]+$/.test(pid)) return false;
    const words = read(`/proc/${pid}/cmdline`).split('\0');
    return /(^|\/)u?mount(\.gfs2)?$/.test(words[0] ?? '') && words.includes(path);
  });
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function readLink(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return '';
  }
}
