/**
 * `node vagrant/box/main.ts`: builds the box unless it is in the cache, and prints its folder.
 * LAB_BOX_EXTRA names a folder with more .deb files and programs.
 */
import { ensureBox } from './build.ts';

const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => interrupt.abort());
try {
  const box = await ensureBox({
    extraFolder: process.env.LAB_BOX_EXTRA,
    signal: interrupt.signal,
    onProgress: (line) => process.stderr.write(`${line}\n`),
  });
  process.stdout.write(`${box.folder}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = interrupt.signal.aborted ? 130 : 1;
}
