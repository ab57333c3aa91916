import type { Plugin } from '../src/smapi/interface.ts';

/** The calls of the volume plugin; a call that is not here has no entry file. */
export const volumePlugin: Plugin = {
  'SR.probe': async () => (await import('./sr/probe.ts')).probe,
};
