/** What corosync says: its configuration and members (cmap), quorum, and process groups (CPG). */
import { ask } from './ask.ts';

/** A host as corosync has it. */
export interface CorosyncMember {
  readonly nodeId: number;
  readonly name: string;
  readonly online: boolean;
  /** Whether each of its links is connected, by the link's number; none for this host. */
  readonly links: readonly boolean[];
}

/** Corosync's view of the cluster. */
export interface Corosync {
  readonly clusterName: string;
  /** This host's number. */
  readonly nodeId: number;
  readonly quorate: boolean;
  /** Whether it has not yet seen all hosts since it started, and waits for that. */
  readonly waitsForAll: boolean;
  /** All configured hosts, by their numbers. */
  readonly members: readonly CorosyncMember[];
}

/**
 * Asks the corosync of this host.
 *
 * @returns undefined when it does not run.
 * @throws PluginError `DaemonSilent` when it runs but does not answer, CommandError when it is not installed.
 */
export async function askCorosync(): Promise<Corosync | undefined> {
  const [map, quorum, statistics] = await Promise.all([
    ask('corosync', 'corosync-cmapctl'),
    ask('corosync', 'corosync-quorumtool', ['-s']),
    ask('corosync', 'corosync-cmapctl', ['-m', 'stats', 'stats.knet']),
  ]);
  if (map.exitCode !== 0) return undefined;
  return parseCorosync(map.stdout, quorum.stdout, statistics.stdout);
}

/** Reads what `corosync-cmapctl`, `corosync-quorumtool -s` and `corosync-cmapctl -m stats` print. */
export function parseCorosync(map: string, quorum: string, statistics: string): Corosync {
  const values = parseCmap(map);
  const links = parseCmap(statistics);
  const nodeId = Number(values.get('runtime.votequorum.this_node_id'));
  const members = [...values].flatMap(([key, id]) => {
    const position = /^nodelist\.node\.(\d+)\.nodeid$/.exec(key)?.[1];
    if (position === undefined) return [];
    return [
      {
        nodeId: Number(id),
        name: values.get(`nodelist.node.${position}.name`) ?? `node ${id}`,
        online: values.get(`runtime.members.${id}.status`) === 'joined',
        links: Number(id) === nodeId ? [] : connectedLinks(links, id),
      },
    ];
  });
  return {
    clusterName: values.get('totem.cluster_name') ?? '',
    nodeId,
    quorate: /^Quorate:\s+Yes$/m.test(quorum),
    waitsForAll: values.get('runtime.votequorum.wait_for_all_status') === '1',
    members: members.sort((a, b) => a.nodeId - b.nodeId),
  };
}

/**
 * The numbers of the hosts with a process in a group, without joining it.
 *
 * @param group such as `dlm:controld`, or `dlm:ls:NAME` for a dlm lockspace.
 * @returns undefined when corosync does not run.
 * @throws PluginError `DaemonSilent` when it runs but does not answer, CommandError when it is not installed.
 */
export async function processGroup(group: string): Promise<readonly number[] | undefined> {
  const { stdout, exitCode } = await ask('corosync', 'corosync-cpgtool');
  return exitCode === 0 ? parseProcessGroups(stdout, group) : undefined;
}

/** Reads the hosts of a group from what `corosync-cpgtool` prints. */
export function parseProcessGroups(text: string, group: string): readonly number[] {
  const nodes = new Set<number>();
  let inside = false;
  for (const line of text.split('\n').slice(1)) {
    const node = /^\s+\d+\s+(\d+) \(/.exec(line)?.[1];
    // A name's bytes that are no text, such as the zero that dlm ends it with, are spelt \x00.
    if (node === undefined) inside = line.replace(/(\\x00)+\s*$/, '') === group;
    else if (inside) nodes.add(Number(node));
  }
  return [...nodes].sort((a, b) => a - b);
}

function connectedLinks(statistics: ReadonlyMap<string, string>, id: string): readonly boolean[] {
  const links: boolean[] = [];
  for (let link = 0; ; link++) {
    const connected = statistics.get(`stats.knet.node${id}.link${link}.connected`);
    if (connected === undefined) return links;
    links.push(connected === '1');
  }
}

/** `key (type) = value` a line. */
function parseCmap(text: string): ReadonlyMap<string, string> {
  return new Map(
    [...text.matchAll(/^(\S+) \(\w+\) = (.*)$/gm)].map(([, key = '', value = '']) => [key, value]),
  );
}
