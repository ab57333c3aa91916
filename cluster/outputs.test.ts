/** What the tools of corosync 3.1.7 and dlm 4.2 print, recorded on two hosts of Debian 12. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseCorosync, parseProcessGroups } from './corosync.ts';
import { parseDlmStatus, parseLockspaces } from './dlm.ts';
import { parseMountPoints } from './filesystems.ts';
import { waitSentence } from './lockspaces.ts';
import { type ClusterFacts, checkRequirements } from './requirements.ts';

const recorded = (name: string): string =>
  readFileSync(join(import.meta.dirname, 'fixtures', `${name}.txt`), 'utf8');
const statistics = recorded('corosync-cmapctl-stats');
const healthy = parseCorosync(recorded('corosync-cmapctl'), recorded('corosync-quorumtool'), statistics);
const lost = parseCorosync(
  recorded('corosync-cmapctl-lost'),
  recorded('corosync-quorumtool-lost'),
  statistics,
);

describe('corosync', () => {
  it('names the cluster, its hosts and their links', () => {
    expect(healthy).toEqual({
      clusterName: 'lab',
      nodeId: 2,
      quorate: true,
      waitsForAll: false,
      members: [
        { nodeId: 2, name: 'host2', online: true, links: [] },
        { nodeId: 3, name: 'host3', online: true, links: [true, true] },
      ],
    });
  });

  it('shows a host that is lost, and a link that is down', () => {
    expect(lost.quorate).toBe(true);
    expect(lost.members.map(({ name, online }) => [name, online])).toEqual([
      ['host2', true],
      ['host3', false],
    ]);
    const down = statistics.replace('node3.link1.connected (u8) = 1', 'node3.link1.connected (u8) = 0');
    expect(parseCorosync(recorded('corosync-cmapctl'), '', down).members[1]?.links).toEqual([true, false]);
  });

  it('is not quorate while it waits for all', () => {
    const { quorate } = parseCorosync(
      recorded('corosync-cmapctl'),
      recorded('corosync-quorumtool-waits'),
      '',
    );
    expect(quorate).toBe(false);
  });

  it('tells the hosts of one lockspace from those of others', () => {
    const groups = recorded('corosync-cpgtool');
    expect(parseProcessGroups(groups, 'dlm:ls:handmade')).toEqual([2, 3]);
    expect(parseProcessGroups(groups, 'dlm:ls:hand')).toEqual([]);
    expect(parseProcessGroups('Group Name\t       PID\t   Node ID\n', 'dlm:ls:handmade')).toEqual([]);
  });
});

describe('dlm', () => {
  it('tells its hosts, and which of them must be fenced', () => {
    expect(parseDlmStatus(recorded('dlm_tool-status'))).toMatchObject({
      nodeId: 2,
      quorate: true,
      startupNodes: [],
      nodes: [
        { nodeId: 2, member: true, needsFencing: false },
        { nodeId: 3, member: true, needsFencing: false },
      ],
    });
    expect(parseDlmStatus(recorded('dlm_tool-status-fencing'))?.nodes[1]).toEqual({
      nodeId: 3,
      member: false,
      needsFencing: true,
    });
  });

  it('is not there when its tool says that it cannot connect, with exit code 0', () => {
    expect(parseDlmStatus('cannot connect to dlm_controld')).toBeUndefined();
  });

  it('tells lockspaces, and what they wait for', () => {
    expect(parseLockspaces(recorded('dlm_tool-ls'))).toEqual([
      { name: 'handmade', members: [2, 3], stopped: false },
    ]);
    expect(parseLockspaces(recorded('dlm_tool-ls-fencing'))).toEqual([
      { name: 'handmade', members: [2, 3], stopped: true, waits: 'fencing' },
    ]);
    expect(parseLockspaces('')).toEqual([]);
  });
});

describe('a lockspace', () => {
  const dlm = parseDlmStatus(recorded('dlm_tool-status-fencing'));
  const [waiting] = parseLockspaces(recorded('dlm_tool-ls-fencing'));
  const [quiet] = parseLockspaces(recorded('dlm_tool-ls'));

  it('waits for nothing, or for the fencing of a host by its name (B-09)', () => {
    expect(waitSentence({ corosync: healthy, dlm, lockspace: quiet, inKernel: true })).toBeUndefined();
    expect(waitSentence({ corosync: lost, dlm, lockspace: waiting, inKernel: true })).toMatch(
      /wait until host3 is fenced; .*journalctl -u dlm/,
    );
  });

  it('waits for quorum before anything else', () => {
    expect(
      waitSentence({ corosync: { ...lost, quorate: false }, dlm, lockspace: waiting, inKernel: true }),
    ).toMatch(/wait for quorum\. Cluster lab has no quorum on host2, which does not see host3/);
  });

  it('is known to be stuck when its daemon is gone', () => {
    expect(
      waitSentence({ corosync: undefined, dlm: undefined, lockspace: undefined, inKernel: true }),
    ).toMatch(/dlm_controld of this host is gone .* until this host is reset/);
    expect(waitSentence({ corosync: healthy, dlm, lockspace: undefined, inKernel: false })).toBeUndefined();
  });
});

describe('mount points', () => {
  it('are found by the device, with what mountinfo spells in octal', () => {
    const mountinfo = recorded('mountinfo');
    expect(parseMountPoints(mountinfo, '8:48')).toEqual([
      '/run/sr-mount/b2b4ae16-9f0c-4d07-8a58-3f4c4ad62c10',
    ]);
    expect(parseMountPoints(mountinfo.replace('sr-mount', 'sr\\040mount'), '8:48')[0]).toContain(
      '/sr mount/',
    );
    expect(parseMountPoints(mountinfo, '')).toEqual([]);
  });
});

describe('what must hold before a gfs2 is mounted', () => {
  const agent = '/usr/sbin/fence_ipmilan';
  const facts: ClusterFacts = {
    corosync: healthy,
    dlm: parseDlmStatus(recorded('dlm_tool-status')),
    kernelCluster: 'lab',
    lockspaces: [],
    fencing: {
      enabled: true,
      configured: { agents: new Map([[3, [agent]]]) },
      changedSince: false,
      missingAgents: new Set(),
    },
  };
  const problem = (change: Partial<ClusterFacts>): string => {
    try {
      checkRequirements({ ...facts, ...change });
      return 'none';
    } catch (error) {
      return error instanceof Error ? `${error.name}: ${error.message}` : '';
    }
  };
  const fencing = (change: Partial<ClusterFacts['fencing']>) => ({
    fencing: { ...facts.fencing, ...change },
  });

  it('holds in a healthy cluster, also with a fence for every host at once', () => {
    expect(checkRequirements(facts).clusterName).toBe('lab');
    expect(problem(fencing({ configured: { agents: new Map(), everyHost: agent } }))).toBe('none');
  });

  it('holds without fencing where there is nobody to fence', () => {
    const corosync = { ...healthy, members: healthy.members.slice(0, 1) };
    expect(problem({ corosync, ...fencing({ enabled: false, configured: { agents: new Map() } }) })).toBe(
      'none',
    );
  });

  it.each([
    [
      'corosync',
      { corosync: undefined },
      /^ClusterNotRunning: Corosync does not run .*gfs2-sr cluster start/,
    ],
    [
      'quorum',
      { corosync: { ...lost, quorate: false } },
      /^ClusterNotQuorate: .* on host2, which does not see host3/,
    ],
    [
      'all hosts once',
      { corosync: { ...lost, quorate: false, waitsForAll: true } },
      /it has not seen every host yet/,
    ],
    ['dlm_controld', { dlm: undefined }, /^DlmNotRunning: /],
    [
      'a dlm_controld for its lockspaces',
      { dlm: undefined, corosync: undefined, lockspaces: ['handmade'] },
      /^LeftoverLockspace: The lockspace handmade .*reset this host/,
    ],
    [
      'the same cluster in dlm',
      { kernelCluster: 'other' },
      /^DlmOfAnotherCluster: .*of cluster other, and corosync node 2 of cluster lab/,
    ],
    ['fencing switched on', fencing({ enabled: false }), /^FencingDisabled: .*enable_fencing=0/],
    [
      'a device for every other host',
      fencing({ configured: { agents: new Map([[2, [agent]]]) } }),
      /^FencingNotConfigured: .* for host3;/,
    ],
    [
      'the agent',
      fencing({ missingAgents: new Set([agent]) }),
      /^FenceAgentMissing: .*fence_ipmilan is not on this host/,
    ],
    ['the devices that dlm has read', fencing({ changedSince: true }), /^FencingNotLoaded: .*stop and start/],
  ])('needs %s', (_, change, sentence) => {
    expect(problem(change)).toMatch(sentence);
  });
});
