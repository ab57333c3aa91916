import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PluginError } from './smapi/errors.ts';

/**
 * Loads one of the project's addons by its target's name in binding.gyp.
 *
 * An installed plugin has them beside its bundle; a checkout in `build/Release`.
 *
 * @throws PluginError when there is none, or it does not fit this Node or host.
 */
export function loadAddon(name: string): unknown {
  const here = import.meta.dirname;
  const places = [here, join(dirname(here), 'build', 'Release')].map((folder) =>
    join(folder, `${name}.node`),
  );
  const file = places.find((place) => existsSync(place));
  if (file === undefined) {
    throw new PluginError(
      'AddonMissing',
      `The file ${name}.node is missing from this installation; install it again.`,
    );
  }
  try {
    const module: { exports: unknown } = { exports: {} };
    process.dlopen(module, file);
    return module.exports;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new PluginError('AddonUnusable', `The file ${file} cannot be loaded; install it again: ${why}`, {
      cause: error,
    });
  }
}
