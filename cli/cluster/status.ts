import { type ClusterState, clusterState } from '../../cluster/status.ts';
import { readFlags, type Terminal } from '../command.ts';

/** `gfs2-sr cluster status` */
export async function status(args: readonly string[], { print }: Terminal): Promise<void> {
  const flags = readFlags(args, ['--json']);
  const state = await clusterState();
  if (flags.has('--json')) print(JSON.stringify(state));
  else for (const line of describe(state)) print(line);
}

/** The state in lines for people. */
export function describe(state: ClusterState): readonly string[] {
  const { members = [], lockspaces } = state;
  const nameOf = (id: number): string => members.find(({ nodeId }) => nodeId === id)?.name ?? `node ${id}`;
  const daemons = `corosync ${inWords(state.corosync)}, dlm ${inWords(state.dlm)}`;
  return [
    state.name === undefined
      ? state.setUp
        ? 'This host is set up for a cluster.'
        : 'This host is not set up for a cluster.'
      : `Cluster ${state.name}: ${state.quorate ? 'quorate' : 'NOT QUORATE'}`,
    `  daemons: ${daemons}`,
    ...members.map(({ nodeId, name, online, links }) => {
      const me = nodeId === state.nodeId ? ', this host' : '';
      const lost = links.flatMap((connected, link) => (connected ? [] : [link]));
      const broken = online && lost.length > 0 ? `, link ${lost.join(' and ')} not connected` : '';
      return `  ${name} (node ${nodeId}): ${online ? 'online' : 'OFFLINE'}${me}${broken}`;
    }),
    ...lockspaces.map(
      ({ name, members: hosts, waitsFor }) =>
        `  lockspace ${name}: ${hosts.map(nameOf).join(', ')}${waitsFor === undefined ? '' : `. ${waitsFor}`}`,
    ),
    ...state.mounts.map((mount) => `  gfs2 mounted at ${mount}`),
    state.problem === undefined
      ? 'SRs can be attached on this host.'
      : `No SR can be attached on this host. ${state.problem}`,
  ];
}

function inWords(daemon: ClusterState['corosync']): string {
  return { running: 'runs', stopped: 'does not run', silent: 'DOES NOT ANSWER' }[daemon];
}
