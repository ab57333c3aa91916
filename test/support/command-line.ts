/** The command line `gfs2-sr` from the sources, bundled as for an installation, except that its fault points work. */
import { copyFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { type Ended, runProcess } from './xapi.ts';

const root = join(import.meta.dirname, '../..');
const main = bundle();

function bundle(): string {
  const folder = join(root, 'build/fault-points');
  const file = join(folder, 'gfs2-sr.cjs');
  const { outputFiles } = buildSync({
    entryPoints: [join(root, 'cli/main.ts')],
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
  const put = (name: string, write: (file: string) => void): void => {
    const temporary = join(folder, `${name}.${process.pid}`);
    write(temporary);
    renameSync(temporary, join(folder, name));
  };
  put('posix.node', (to) => copyFileSync(join(root, 'build/Release/posix.node'), to));
  put('gfs2-sr.cjs', (to) => writeFileSync(to, outputFiles[0]?.contents ?? ''));
  return file;
}

/** Runs a command to its end. */
export function gfs2Sr(
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<Ended> {
  return runProcess(process.execPath, [main, 'gfs2-sr', ...words], '', environment);
}
