/** Who on this host keeps a mount in use; told from /proc and /sys, without touching the mount. */
import { basename } from 'node:path';
import { listRunningDisks } from '../../../datapath/live-control/index.ts';
import {
  linkTarget,
  listFolder,
  listProcesses,
  openFiles,
  programName,
  readText,
} from '../../../src/proc.ts';
import { imagesFolder } from '../../layout/sr-folder.ts';

/** UUIDs of the images below `folder` that are disks of this host now: those with a loop device or a process. */
export function activeImages(folder: string): readonly string[] {
  const loops = listFolder('/sys/block').flatMap(
    (name) => readText(`/sys/block/${name}/loop/backing_file`) ?? [],
  );
  const files = [...loops, ...listRunningDisks().map(({ image }) => image)];
  return files
    .filter((file) => file.startsWith(`${imagesFolder(folder)}/`))
    .map((file) => basename(file).split('.', 1)[0] ?? '');
}

/** Processes that have something below `folder` open, as `1234 (name)`. */
export function processesIn(folder: string): readonly string[] {
  const inside = (link: string): boolean => link === folder || link.startsWith(`${folder}/`);
  return listProcesses().flatMap((pid) => {
    const links = ['cwd', 'root', 'exe'].flatMap((name) => linkTarget(`/proc/${pid}/${name}`) ?? []);
    const uses = [...links, ...openFiles(pid)].some(inside);
    return uses ? [`${pid} (${programName(pid) ?? '?'})`] : [];
  });
}

/** The process that is mounting something at `path` or unmounting it, where there is one. */
export function mounterOf(path: string): number | undefined {
  return listProcesses().find((pid) => {
    const words = (readText(`/proc/${pid}/cmdline`) ?? '').split('\0');
    return /(^|\/)u?mount(\.gfs2)?$/.test(words[0] ?? '') && words.includes(path);
  });
}
