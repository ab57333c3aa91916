import type { Plugin } from '../../src/smapi/interface.ts';

/** The calls of the raw+block datapath plugin; a call that is not here has no entry file. */
export const rawBlockPlugin: Plugin = {
  'Plugin.query': async () => (await import('./query.ts')).query,
  'Plugin.diagnostics': async () => (await import('./diagnostics.ts')).diagnostics,
  'Datapath.open': async () => (await import('./open.ts')).open,
  'Datapath.attach': async () => (await import('./attach.ts')).attach,
  'Datapath.activate': async () => (await import('./activate.ts')).activate,
  'Datapath.activate_readonly': async () => (await import('./activate-readonly.ts')).activateReadonly,
  'Datapath.deactivate': async () => (await import('./deactivate.ts')).deactivate,
  'Datapath.detach': async () => (await import('./detach.ts')).detach,
  'Datapath.close': async () => (await import('./close.ts')).close,
};
