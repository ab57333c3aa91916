import type { Plugin } from '../src/smapi/interface.ts';

/** The calls of the volume plugin; a call that is not here has no entry file. */
export const volumePlugin: Plugin = {
  'Plugin.query': async () => (await import('./plugin/query.ts')).query,
  'Plugin.ls': async () => (await import('./plugin/ls.ts')).ls,
  'Plugin.diagnostics': async () => (await import('./plugin/diagnostics.ts')).diagnostics,
  'SR.probe': async () => (await import('./sr/probe.ts')).probe,
  'SR.create': async () => (await import('./sr/create.ts')).create,
  'SR.attach': async () => (await import('./sr/attach.ts')).attach,
  'SR.detach': async () => (await import('./sr/detach.ts')).detach,
  'SR.destroy': async () => (await import('./sr/destroy.ts')).destroy,
  'SR.stat': async () => (await import('./sr/stat.ts')).stat,
  'SR.ls': async () => (await import('./sr/ls.ts')).ls,
  'SR.set_name': async () => (await import('./sr/set-name.ts')).setName,
  'SR.set_description': async () => (await import('./sr/set-description.ts')).setDescription,
  'Volume.create': async () => (await import('./volume/create.ts')).create,
  'Volume.stat': async () => (await import('./volume/stat.ts')).stat,
  'Volume.snapshot': async () => (await import('./volume/snapshot.ts')).snapshot,
  'Volume.clone': async () => (await import('./volume/clone.ts')).clone,
  'Volume.revert': async () => (await import('./volume/revert.ts')).revert,
  'Volume.destroy': async () => (await import('./volume/destroy.ts')).destroy,
  'Volume.set': async () => (await import('./volume/set.ts')).set,
  'Volume.unset': async () => (await import('./volume/unset.ts')).unset,
  'Volume.set_name': async () => (await import('./volume/set-name.ts')).setName,
  'Volume.set_description': async () => (await import('./volume/set-description.ts')).setDescription,
  'Volume.resize': async () => (await import('./volume/resize.ts')).resize,
};
