/** corosync.conf(5): formed for a cluster, and read for the little that is compared. */
import type { ClusterConfiguration } from './configuration.ts';

/**
 * Forms corosync.conf. Hosts talk over knet, one link for each network, encrypted and authenticated.
 *
 * A cluster that starts waits until it has once seen all its hosts (`wait_for_all`), so that no part of it
 * fences hosts that only start more slowly. Two hosts have the vote of one (`two_node`), for each must go on
 * alone once the other is fenced.
 */
export function formCorosyncConf({ name, token, nodes }: ClusterConfiguration): string {
  const blocks = [
    block('totem', [
      'version: 2',
      `cluster_name: ${name}`,
      'transport: knet',
      'crypto_cipher: aes256',
      'crypto_hash: sha256',
      `token: ${token}`,
    ]),
    block(
      'nodelist',
      nodes.flatMap((node) =>
        block('node', [
          `nodeid: ${node.id}`,
          `name: ${node.name}`,
          ...node.addresses.map((address, link) => `ring${link}_addr: ${address}`),
        ]),
      ),
    ),
    block('quorum', [
      'provider: corosync_votequorum',
      ...(nodes.length === 2 ? ['two_node: 1'] : []),
      'wait_for_all: 1',
    ]),
    block('logging', ['to_logfile: no', 'to_stderr: no', 'to_syslog: yes']),
  ];
  return [
    '# Written by gfs2-sr; the same on every host. Change it with: gfs2-sr cluster set-up',
    ...blocks.flat(),
    '',
  ].join('\n');
}

function block(name: string, lines: readonly string[]): readonly string[] {
  return [`${name} {`, ...lines.map((line) => `  ${line}`), '}'];
}
