import { existsSync } from 'node:fs';
import { join } from 'node:path';

/**
 * How to start another program on the Node that this one runs on: a command, and its first arguments. An installed
 * Node is started through the loader and with the libraries that it came with.
 */
export function ownNode(): readonly [string, ...string[]] {
  const runtime = join(import.meta.dirname, 'runtime');
  const [loader, node] = [join(runtime, 'loader'), join(runtime, 'node')];
  return existsSync(loader) ? [loader, '--library-path', runtime, '--argv0', node, node] : [process.execPath];
}
