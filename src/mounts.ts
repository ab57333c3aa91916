/** What is mounted on this host, from the kernel's own list: the filesystems themselves are not touched. */
import { readFileSync } from 'node:fs';

/** A mount. */
export interface Mount {
  readonly path: string;
  readonly type: string;
  /** What it was mounted from, such as `/dev/sdb`. */
  readonly source: string;
  /** The device's numbers, as `8:16`. */
  readonly device: string;
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

/** The mount that a path is on, as far as its name tells. */
export function mountOf(path: string): Mount | undefined {
  const above = listMounts().filter(
    (mount) => path === mount.path || path.startsWith(mount.path === '/' ? '/' : `${mount.path}/`),
  );
  const longest = Math.max(...above.map((mount) => mount.path.length));
  return above.findLast((mount) => mount.path.length === longest);
}

/** In names, four characters are octal. */
function withoutEscapes(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
