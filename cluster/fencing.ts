/** How this host's dlm_controld would fence the others. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { dlmDaemon, dlmSettings } from './dlm.ts';
import { type ConfiguredFencing, parseDlmConf } from './dlm-conf.ts';
import { hostFiles } from './host-files.ts';

/** What decides whether a lost host would be fenced. */
export interface Fencing {
  /** Whether the running dlm_controld fences at all (`enable_fencing`). */
  readonly enabled: boolean;
  readonly configured: ConfiguredFencing;
  /** Whether dlm.conf was changed after dlm_controld had started, which reads it only for hosts it learns of. */
  readonly changedSince: boolean;
  /** Those of the agents' programs that are not there or cannot be run. */
  readonly missingAgents: ReadonlySet<string>;
}

/** Reads how the running dlm_controld fences. */
export async function readFencing(): Promise<Fencing> {
  const enabled = (await dlmSettings()).get('enable_fencing') !== '0';
  const configured = readConfigured();
  const startedAt = dlmDaemon()?.startedAt;
  const agents = [...configured.agents.values(), configured.everyHost ?? []].flat();
  return {
    enabled,
    configured,
    changedSince: startedAt !== undefined && changedAt(hostFiles.dlmConf) > startedAt,
    missingAgents: new Set(agents.filter((agent) => !isProgram(agent))),
  };
}

function readConfigured(): ConfiguredFencing {
  try {
    return parseDlmConf(readFileSync(hostFiles.dlmConf, 'utf8'));
  } catch {
    return { agents: new Map() };
  }
}

function changedAt(file: string): number {
  try {
    return statSync(file).mtimeMs;
  } catch {
    return 0;
  }
}

/** An agent without a path is looked for where systemd's services look. */
function isProgram(agent: string): boolean {
  const places = agent.includes('/')
    ? [agent]
    : ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].map(
        (folder) => `${folder}/${agent}`,
      );
  return places.some((place) => {
    try {
      accessSync(place, constants.X_OK);
      return statSync(place).isFile();
    } catch {
      return false;
    }
  });
}
