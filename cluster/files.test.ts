/** The files that a set-up writes. */
import { describe, expect, it } from 'vitest';
import { type FenceDevice, parseClusterConfiguration } from './configuration.ts';
import { formCorosyncConf } from './corosync-conf.ts';
import { formDlmConf, parseDlmConf } from './dlm-conf.ts';

const key = Buffer.alloc(256, 'S3cretKey').toString('base64');
const cluster = (hosts: number) =>
  parseClusterConfiguration(
    JSON.stringify({
      name: 'pool',
      key,
      nodes: Array.from({ length: hosts }, (_, index) => ({
        id: index + 1,
        name: `host${index + 1}`,
        addresses: [`192.0.2.${index + 11}`, `198.51.100.${index + 11}`],
      })),
    }),
  );

describe('corosync.conf', () => {
  it('has encrypted links by address, and a vote for two hosts', () => {
    expect(
      formCorosyncConf(cluster(2)),
    ).toBe(`# Written by gfs2-sr; the same on every host. Change it with: gfs2-sr cluster set-up
totem {
  version: 2
  cluster_name: pool
  transport: knet
  crypto_cipher: aes256
  crypto_hash: sha256
  token: 10000
}
nodelist {
  node {
    nodeid: 1
    name: host1
    ring0_addr: 192.0.2.11
    ring1_addr: 198.51.100.11
  }
  node {
    nodeid: 2
    name: host2
    ring0_addr: 192.0.2.12
    ring1_addr: 198.51.100.12
  }
}
quorum {
  provider: corosync_votequorum
  two_node: 1
  wait_for_all: 1
}
logging {
  to_logfile: no
  to_stderr: no
  to_syslog: yes
}
`);
  });

  it('lets three hosts decide by majority, once they have all been seen', () => {
    const text = formCorosyncConf(cluster(3));
    expect(text).not.toContain('two_node');
    expect(text).toContain('  wait_for_all: 1\n');
  });

  it('holds no secret', () => {
    expect(formCorosyncConf(cluster(2))).not.toContain(key.slice(0, 16));
  });
});

describe('dlm.conf', () => {
  const power: FenceDevice = {
    name: 'power',
    agent: '/usr/sbin/fence_ipmilan',
    options: { username: 'admin', password: 'pass=word;12' },
    unfence: false,
    connections: [
      { node: 1, options: { ip: '192.0.2.101' } },
      { node: 12, options: { ip: '192.0.2.112' } },
    ],
  };
  const scsi: FenceDevice = {
    name: 'scsi',
    agent: '/usr/sbin/fence_scsi',
    options: { devices: '/dev/disk/by-id/x' },
    unfence: true,
    connections: [{ node: 1, options: { key: '0x1' } }],
  };

  it('has a section for each device, which an empty line ends', () => {
    expect(formDlmConf([power, scsi])).toBe(`# Written by gfs2-sr. Change it with: gfs2-sr cluster set-up

device power /usr/sbin/fence_ipmilan username=admin password=pass=word;12
connect power node=1 ip=192.0.2.101
connect power node=12 ip=192.0.2.112

device scsi /usr/sbin/fence_scsi devices=/dev/disk/by-id/x
connect scsi node=1 key=0x1
unfence scsi
`);
  });

  it('is read back as it was formed: each host with the agents that fence it, in order', () => {
    const { agents, everyHost } = parseDlmConf(formDlmConf([power, scsi]));
    expect(everyHost).toBeUndefined();
    expect([...agents]).toEqual([
      [1, ['/usr/sbin/fence_ipmilan', '/usr/sbin/fence_scsi']],
      [12, ['/usr/sbin/fence_ipmilan']],
    ]);
  });

  it('is read as dlm_controld reads what others wrote', () => {
    const text = [
      '# a comment',
      'enable_fencing=1',
      'device a fence_a ip=1',
      '# connect a node=9',
      'connect a node=1 port=3',
      '',
      '# a connection after the end of its section counts for nothing',
      'connect a node=2 port=4',
    ].join('\n');
    expect([...parseDlmConf(text).agents]).toEqual([[1, ['fence_a']]]);
    expect(parseDlmConf('fence_all /usr/sbin/dlm_stonith\n').everyHost).toBe('/usr/sbin/dlm_stonith');
  });
});
