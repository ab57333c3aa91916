/**
 * Bundles each plugin and program into one file: `node packaging/bundle.ts OUTPUT_FOLDER [--fault-points]`.
 *
 * With `--fault-points`, calls die where `GFS2_SR_FAULT` tells them to: for tests on real hosts, never for a
 * release. `node packaging/fault-points.ts` prints the names.
 */
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { plugins, programs } from './plugins.ts';

const root = join(import.meta.dirname, '..');
const [output, flag] = process.argv.slice(2);
if (output === undefined || (flag !== undefined && flag !== '--fault-points')) {
  throw new Error('usage: bundle.ts OUTPUT_FOLDER [--fault-points]');
}

/**
 * Large modules that few calls need: in a file of their own, for Node would have to parse them at every
 * start (20 ms a megabyte).
 */
const apart: readonly { readonly module: string; readonly out: string }[] = [
  { module: 'volume/plugin/diagnostics.ts', out: 'diagnostics' },
  { module: 'volume/sr/probe.ts', out: 'probe' },
  { module: 'volume/sr/health-watcher.ts', out: 'health-watcher' },
  { module: 'volume/providers/iscsi/userspace.ts', out: 'userspace' },
  { module: 'volume/iscsi/kernel/index.ts', out: 'initiator' },
  { module: 'cluster/index.ts', out: 'cluster' },
  { module: 'datapath/room/room-watcher.ts', out: 'room-watcher' },
  { module: 'src/commands.ts', out: 'commands' },
  { module: 'src/systemd/scopes.ts', out: 'scopes' },
];

const loadApart: Plugin = {
  name: 'load-apart',
  setup({ onResolve }) {
    onResolve({ filter: /\.ts$/ }, ({ kind, path, resolveDir }) => {
      const found = apart.find(({ module }) => join(root, module) === join(resolveDir, path));
      return kind === 'dynamic-import' && found !== undefined
        ? { path: `./${found.out}.cjs`, external: true }
        : undefined;
    });
  },
};

await build({
  entryPoints: [
    ...[...plugins, ...programs].map(({ name, main }) => ({ in: join(root, main), out: name })),
    ...apart.map(({ module, out }) => ({ in: join(root, module), out })),
  ],
  plugins: [loadApart],
  outdir: output,
  bundle: true,
  platform: 'node',
  target: 'node26',
  // CommonJS starts 4 to 6 ms sooner than ES modules and needs no compile cache to be as fast as bare Node.
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  // What dbus-next can do without: passing of descriptors, and session buses that an X server knows.
  external: ['usocket', 'x11'],
  define: {
    'import.meta.dirname': '__dirname',
    'import.meta.filename': '__filename',
    'import.meta.url': '__filename',
    // For tests of the sources: nobody may stop an installed plugin half-way, or give it another addon.
    ...(flag === '--fault-points' ? {} : { 'process.env.GFS2_SR_FAULT': 'undefined' }),
    'process.env.ISCSI_INITIATOR_ADDON': 'undefined',
  },
  logLevel: 'warning',
});
