/** Portals of the target that answer no more, while the target itself goes on. */
import type { Machine } from '../../lib/index.ts';

/** `silent`: packets vanish, both ways. `refused`: connections are reset, those that there are as well. */
export type PortalFault = 'silent' | 'refused';

const table = 'lab_portals';

/** Breaks portals, named by their addresses. */
export async function breakPortals(
  target: Machine,
  addresses: readonly string[],
  fault: PortalFault,
): Promise<void> {
  const set = `{ ${addresses.join(', ')} }`;
  const verdict = fault === 'silent' ? 'drop' : 'reject with tcp reset';
  const rules = [
    `table inet ${table} {`,
    '  chain in {',
    '    type filter hook input priority 0;',
    `    ip daddr ${set} tcp dport 3260 ${verdict}`,
    '  }',
    '  chain out {',
    '    type filter hook output priority 0;',
    `    ip saddr ${set} tcp sport 3260 ${fault === 'silent' ? 'drop' : 'accept'}`,
    '  }',
    '}',
    '',
  ].join('\n');
  await healPortals(target);
  await target.exec(['nft', '-f', '-'], { input: rules });
}

/** Ends what {@link breakPortals} did; harmless where it did nothing. */
export async function healPortals(target: Machine): Promise<void> {
  await target.exec(['nft', '-f', '-'], { input: `add table inet ${table}\ndelete table inet ${table}\n` });
}
