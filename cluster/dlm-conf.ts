/** dlm.conf(5): how dlm_controld fences. */
import type { FenceDevice } from './configuration.ts';

/**
 * Forms dlm.conf for some fencing devices.
 *
 * dlm_controld ends a device's lines at the first empty one, reads the host's number from the first `node=`
 * of a line, and divides options at spaces without any quoting.
 */
export function formDlmConf(devices: readonly FenceDevice[]): string {
  const sections = devices.map((device) =>
    [
      words('device', device.name, device.agent, ...pairs(device.options)),
      ...device.connections.map(({ node, options }) =>
        words('connect', device.name, `node=${node}`, ...pairs(options)),
      ),
      ...(device.unfence ? [words('unfence', device.name)] : []),
      '',
    ].join('\n'),
  );
  return ['# Written by gfs2-sr. Change it with: gfs2-sr cluster set-up\n', ...sections].join('\n');
}

/** What a dlm.conf says about fencing. */
export interface ConfiguredFencing {
  /** The programs of the agents that fence a host, by its number. */
  readonly agents: ReadonlyMap<number, readonly string[]>;
  /** The agent that fences every host, where there is one. */
  readonly everyHost?: string;
}

/** Reads what a dlm.conf says about fencing, by the rules of dlm_controld 4.2. */
export function parseDlmConf(text: string): ConfiguredFencing {
  const agents = new Map<number, string[]>();
  let device: { readonly name: string; readonly agent: string } | undefined;
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue;
    if (line === '' || line.startsWith(' ')) {
      device = undefined;
      continue;
    }
    const [keyword = '', name = '', third = ''] = line.trim().split(/\s+/);
    if (keyword === 'fence_all') return { agents: new Map(), everyHost: name };
    if (keyword === 'device') device = { name, agent: third };
    if (keyword !== 'connect' || device?.name !== name) continue;
    const node = Number(/node=(\d+)/.exec(line)?.[1] ?? Number.NaN);
    if (Number.isInteger(node)) agents.set(node, [...(agents.get(node) ?? []), device.agent]);
  }
  return { agents };
}

function pairs(options: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(options).map(([key, value]) => `${key}=${value}`);
}

function words(...all: readonly string[]): string {
  return all.join(' ');
}
