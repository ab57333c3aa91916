import type { Plugin } from '../../src/smapi/interface.ts';

/** The calls of the raw+file datapath plugin; a call that is not here has no entry file. */
export const rawFilePlugin: Plugin = {};
