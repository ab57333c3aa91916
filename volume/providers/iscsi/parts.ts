/**
 * The large parts that only some calls need. They are bundled by themselves, so they are loaded this way
 * only, and their errors are told apart by name: a class of theirs is not ours.
 */

/** The cluster that the SR stands on. */
export const loadCluster = (): Promise<typeof import('../../../cluster/index.ts')> =>
  import('../../../cluster/index.ts');

/** The kernel's initiator. */
export const loadInitiator = (): Promise<typeof import('../../iscsi/kernel/index.ts')> =>
  import('../../iscsi/kernel/index.ts');

/** Our own initiator, and what the probe makes of LUNs. */
export const loadUserspace = (): Promise<typeof import('./userspace.ts')> => import('./userspace.ts');

/** The host's commands. */
export const loadCommands = (): Promise<typeof import('../../../src/commands.ts')> =>
  import('../../../src/commands.ts');
