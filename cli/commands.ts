/** All commands of `gfs2-sr`, by their words. Each one's code is loaded only when it runs. */
import type { Command } from './command.ts';

export const commands: Readonly<Record<string, Command>> = {
  'cluster set-up': {
    usage: '< CONFIGURATION.json',
    summary: 'Set this host up for the cluster that the JSON on standard input describes',
    run: async (args, terminal) => (await import('./cluster/set-up.ts')).setUp(args, terminal),
  },
  'cluster start': {
    usage: '',
    summary: 'Start the cluster on this host, now and at each boot',
    run: async (args, terminal) => (await import('./cluster/start.ts')).start(args, terminal),
  },
  'cluster stop': {
    usage: '',
    summary: 'Stop the cluster on this host, unless an SR is mounted, until it is started again',
    run: async (args, terminal) => (await import('./cluster/stop.ts')).stop(args, terminal),
  },
  'cluster status': {
    usage: '[--json]',
    summary: 'Show the cluster as this host sees it, and whether an SR can be attached',
    run: async (args, terminal) => (await import('./cluster/status.ts')).status(args, terminal),
  },
  'gc run': {
    usage: '(UUID | --all) [--rate MIB_A_SECOND]',
    summary: 'Collect the garbage of an attached SR, or of all: merge images that no volume needs any more',
    run: async (args, terminal) => (await import('./gc/run.ts')).run(args, terminal),
  },
  'gc status': {
    usage: '',
    summary: 'Show what there is to merge in attached SRs, and how far the tasks of this host are',
    run: async (args, terminal) => (await import('./gc/status.ts')).status(args, terminal),
  },
  'sr status': {
    usage: '',
    summary: 'Show the room of attached SRs, and the disks of this host that are paused until there is more',
    run: async (args, terminal) => (await import('./sr/status.ts')).status(args, terminal),
  },
  'sr grow': {
    usage: 'UUID',
    summary: 'Make an attached SR as large as its LUN has become; on every host that has it, in any order',
    run: async (args, terminal) => (await import('./sr/grow.ts')).grow(args, terminal),
  },
  'sr check': {
    usage: 'UUID [--json]',
    summary: 'Check the catalog and the images of an attached SR; changes nothing',
    run: async (args, terminal) => (await import('./sr/check.ts')).check(args, terminal),
  },
  'sr repair': {
    usage: 'UUID [--dry-run|--yes] [--remove-lost]',
    summary: 'Show how an attached SR would be repaired; with --yes, repair it',
    run: async (args, terminal) => (await import('./sr/repair.ts')).repair(args, terminal),
  },
};
