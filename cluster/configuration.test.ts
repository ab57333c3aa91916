import { describe, expect, it } from 'vitest';
import type { PluginError } from '../src/smapi/errors.ts';
import { parseClusterConfiguration } from './configuration.ts';

const secret = Buffer.alloc(256, 'S3cretKey').toString('base64');
const host = (id: number, ...addresses: readonly string[]) => ({ id, name: `host${id}`, addresses });
const device = {
  name: 'power',
  agent: '/usr/sbin/fence_ipmilan',
  options: { username: 'admin', password: 'S3cretMarker1' },
  connections: [
    { node: 1, options: { ip: '192.0.2.101' } },
    { node: 2, options: { ip: '192.0.2.102' } },
  ],
};
const good = {
  name: 'pool-1',
  key: secret,
  nodes: [host(1, '192.0.2.11', '198.51.100.11'), host(2, '192.0.2.12', '198.51.100.12')],
  fencing: [device],
};

function refusal(configuration: unknown): string {
  try {
    parseClusterConfiguration(
      typeof configuration === 'string' ? configuration : JSON.stringify(configuration),
    );
  } catch (error) {
    expect((error as PluginError).name).toBe('InvalidCluster');
    return (error as Error).message;
  }
  return 'taken';
}

describe('the configuration of a cluster', () => {
  it('is read from JSON, with ten seconds for the token unless told', () => {
    const { token, key, nodes, fencing } = parseClusterConfiguration(JSON.stringify(good));
    expect(token).toBe(10_000);
    expect(key).toEqual(Buffer.from(secret, 'base64'));
    expect(nodes).toEqual(good.nodes);
    expect(fencing).toEqual([{ ...device, unfence: false }]);
    expect(parseClusterConfiguration(JSON.stringify({ ...good, token: 30_000 })).token).toBe(30_000);
  });

  it('may be of one host, and may have no fencing yet', () => {
    const { fencing } = parseClusterConfiguration(
      JSON.stringify({ name: 'one', key: secret, nodes: [host(7, '2001:db8::1')] }),
    );
    expect(fencing).toEqual([]);
  });

  const node = (change: object) => ({ ...good, nodes: [good.nodes[0], { ...good.nodes[1], ...change }] });
  const fence = (change: object) => ({ ...good, fencing: [{ ...device, ...change }] });
  it.each([
    ['no JSON', `{"key": "${secret}`, /is no JSON/],
    ['a list', [], /must be a JSON object/],
    ['a key that means nothing', { ...good, tokn: 5 }, /"tokn"/],
    ['a name with a colon', { ...good, name: 'a:b' }, /name is "a:b"; write 1 to 32/],
    ['a name of 33 letters', { ...good, name: 'a'.repeat(33) }, /1 to 32/],
    ['no name', { ...good, name: undefined }, /name is missing/],
    ['a token in seconds', { ...good, token: 10 }, /token is 10; .*from 1000 to 300000, in milliseconds/],
    ['a short key', { ...good, key: Buffer.alloc(64).toString('base64') }, /the key has 64 bytes; give 128/],
    ['a key that is no base64', { ...good, key: '-----BEGIN' }, /key is not base64/],
    ['no nodes', { ...good, nodes: [] }, /there are 0 nodes/],
    ['node 0', node({ id: 0 }), /id is 0; write a whole number from 1 to 65535/],
    ['the same id twice', node({ id: 1 }), /host1 and host2 both have the id 1;/],
    ['the same name twice', node({ name: 'HOST1' }), /both have the name host1/],
    [
      'the same address twice',
      node({ addresses: ['192.0.2.11', '198.51.100.12'] }),
      /the address 192\.0\.2\.11;/,
    ],
    [
      'a host with one address twice',
      node({ addresses: ['192.0.2.12', '192.0.2.12'] }),
      /host2 has the address 192\.0\.2\.12 twice/,
    ],
    [
      'a host with fewer addresses',
      node({ addresses: ['192.0.2.12'] }),
      /host1 has 2 addresses and host2 1;/,
    ],
    [
      'addresses of two families in a link',
      node({ addresses: ['198.51.100.12', '2001:db8::12'] }),
      /the other IPv6/,
    ],
    ['a host name for an address', node({ addresses: ['host2', '198.51.100.12'] }), /"host2" is no address/],
    ['loopback', node({ addresses: ['127.0.0.1', '198.51.100.12'] }), /"127\.0\.0\.1" is no address/],
    ['a link-local address', node({ addresses: ['fe80::1', '198.51.100.12'] }), /"fe80::1" is no address/],
    [
      'an agent without a path',
      fence({ agent: 'fence_ipmilan' }),
      /agent of power is "fence_ipmilan"; write its path/,
    ],
    ['a device named with a space', fence({ name: 'a b' }), /named "a b"/],
    [
      'a device for a host that is none',
      fence({ connections: [{ node: 3 }] }),
      /connected to node 3, which is no node/,
    ],
    [
      'a device for a host twice',
      fence({ connections: [{ node: 1 }, { node: 1 }] }),
      /connected to node 1 twice/,
    ],
    ['a device for nobody', fence({ connections: [] }), /connected to no host/],
    ['the option node', fence({ options: { node: '1' } }), /option node of power/],
    ['two devices of one name', { ...good, fencing: [device, device] }, /two fencing devices power/],
    [
      'five devices for a host',
      { ...good, fencing: [1, 2, 3, 4, 5].map((n) => ({ ...device, name: `p${n}` })) },
      /5 fencing devices; dlm takes 4/,
    ],
  ])('refuses %s', (_, configuration, sentence) => {
    const message = refusal(configuration);
    expect(message).toMatch(sentence);
    expect(message).not.toContain(secret.slice(0, 20));
  });

  it('refuses a password that dlm would cut, without showing it', () => {
    const message = refusal(fence({ options: { password: 'S3cret Marker\n' } }));
    expect(message).toMatch(/the option password of power must be a text without spaces/);
    expect(message).not.toContain('S3cret');
  });
});
