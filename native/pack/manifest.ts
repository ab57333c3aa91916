/**
 * Says in package.json what the package exports: `node pack/manifest.ts compiled | sources`.
 *
 * In its own project it is the TypeScript itself. Node runs none below node_modules, so a packed one has
 * the JavaScript and the declarations that tsc makes of it; npm has no setting for that.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const file = join(root, 'package.json');
const [kind] = process.argv.slice(2);
if (kind !== 'compiled' && kind !== 'sources') throw new Error('usage: manifest.ts compiled | sources');

const manifest = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
manifest.exports =
  kind === 'sources' ? './lib/index.ts' : { types: './dist/index.d.ts', default: './dist/index.js' };
writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`);
if (kind === 'sources') rmSync(join(root, 'dist'), { recursive: true, force: true });
