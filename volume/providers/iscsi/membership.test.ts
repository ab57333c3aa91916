import { expect, it } from 'vitest';
import { digestsOf, refuseTwin } from './membership.ts';

const host = (nodeId: number, initiatorName: string) => ({
  ...{ uuid: crypto.randomUUID(), nodeId, name: `host${nodeId}`, initiatorName, lunSize: 1n },
});
const hosts = digestsOf([host(1, 'iqn.2026-01.a:one'), host(2, 'iqn.2026-01.a:two')]);
const member = (nodeId: number) => ({ nodeId, name: `host${nodeId}`, online: true });

it('refuses a host with the initiator name of another that has the SR, whatever its case', () => {
  const twin = host(3, 'IQN.2026-01.A:TWO');
  expect(() => refuseTwin(hosts, [member(1), member(2)], twin)).toThrow(
    /same iSCSI initiator name .* as host2, which has the SR attached/,
  );
});

it('takes one whose twin is gone, one that comes back, and one with a name of its own', () => {
  refuseTwin(hosts, [member(1)], host(3, 'iqn.2026-01.a:two'));
  refuseTwin(hosts, [member(1), member(2)], host(2, 'iqn.2026-01.a:two'));
  refuseTwin(hosts, [member(1), member(2)], host(3, 'iqn.2026-01.a:three'));
});
