/** What is mounted on this host, from the kernel's own list: the filesystems themselves are not touched. */
import { readFileSync } from 'node:fs';
import { hostPaths } from '../../../src/host-paths.ts';

/** A mount. */
export interface Mount {
  readonly path: string;
  readonly type: string;
  /** What it was mounted from, such as `/dev/sdb`. */
  readonly source: string;
  /** The device's numbers, as `8:16`. */
  readonly device: string;
}

/** Where an SR is mounted, on any host. */
export function mountPath(uuid: string): string {
  return `${hostPaths.mounts}/${uuid}`;
}

/** All mounts that this process sees. */
export function listMounts(): readonly Mount[] {
  // proc(5): id, parent, major:minor, root, mount point, options, tags..., "-", type, source, options.
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [before = '', after = ''] = line.split(' - ');
      const [, , device = '', , path = ''] = before.split(' ');
      const [type = '', source = ''] = after.split(' ');
      return path === ''
        ? []
        : [{ path: withoutEscapes(path), type, source: withoutEscapes(source), device }];
    });
}

/** What is mounted at a path: the topmost. */
export function findMount(path: string): Mount | undefined {
  return listMounts().findLast((mount) => mount.path === path);
}

function withoutEscapes(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
