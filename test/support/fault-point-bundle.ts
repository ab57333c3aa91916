import { copyFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';

const root = join(import.meta.dirname, '../..');

/**
 * Bundles a main program as for an installation, except that its fault points work.
 *
 * @param main from the project's root.
 * @returns the bundle's path.
 */
export function bundleWithFaultPoints(main: string, name: string): string {
  const folder = join(root, 'build/fault-points');
  const file = join(folder, `${name}.cjs`);
  const { outputFiles } = buildSync({
    entryPoints: [join(root, main)],
    outfile: file,
    write: false,
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node26',
    format: 'cjs',
    keepNames: true,
    define: {
      'import.meta.dirname': '__dirname',
      'import.meta.filename': '__filename',
      'import.meta.url': '__filename',
    },
  });
  mkdirSync(folder, { recursive: true });
  // Several test files do this at once.
  const put = (to: string, write: (file: string) => void): void => {
    const temporary = join(folder, `${to}.${process.pid}`);
    write(temporary);
    renameSync(temporary, join(folder, to));
  };
  for (const addon of ['posix.node', 'loop.node'])
    put(addon, (to) => copyFileSync(join(root, 'build/Release', addon), to));
  put(`${name}.cjs`, (to) => writeFileSync(to, outputFiles[0]?.contents ?? ''));
  return file;
}
