/** What dlm_controld says, and what the kernel's dlm has. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { ask } from './ask.ts';

/** A host as dlm_controld has it. */
export interface DlmNode {
  readonly nodeId: number;
  readonly member: boolean;
  readonly needsFencing: boolean;
}

/** The state of dlm_controld. */
export interface DlmStatus {
  /** This host's number. */
  readonly nodeId: number;
  readonly quorate: boolean;
  /** Hosts that it has not seen since it started, and fences if they do not come. */
  readonly startupNodes: readonly number[];
  readonly nodes: readonly DlmNode[];
}

/** A lockspace of this host, as dlm_controld has it. */
export interface Lockspace {
  readonly name: string;
  /** The numbers of the hosts in it. */
  readonly members: readonly number[];
  /** Whether its locks are at a standstill. */
  readonly stopped: boolean;
  /** What its next change of members waits for, in dlm's words: `fencing`, `quorum`, `ringid`, ... */
  readonly waits?: string;
}

const configfs = '/sys/kernel/config/dlm/cluster';

/**
 * Asks the dlm_controld of this host.
 *
 * @returns undefined when it does not run.
 * @throws PluginError `DaemonSilent` when it runs but does not answer, CommandError when it is not installed.
 */
export async function askDlm(): Promise<DlmStatus | undefined> {
  return parseDlmStatus((await ask('dlm', 'dlm_tool', ['status', '-v'])).stdout);
}

/** Reads what `dlm_tool status -v` prints; without a daemon it prints something else, and exits with 0. */
export function parseDlmStatus(text: string): DlmStatus | undefined {
  const [daemon = '', ...nodes] = text.split(/^nodeid /m);
  const nodeId = /^our_nodeid (\d+)/m.exec(daemon)?.[1];
  if (nodeId === undefined) return undefined;
  return {
    nodeId: Number(nodeId),
    quorate: field(daemon, 'quorate') === '1',
    startupNodes: [...text.matchAll(/^startup node (\d+)/gm)].flatMap(([, id]) => {
      const number = Number(id);
      return number === 0 ? [] : [number];
    }),
    nodes: nodes.map((node) => ({
      nodeId: Number.parseInt(node, 10),
      member: field(node, 'member') === '1',
      needsFencing: field(node, 'need_fencing') === '1',
    })),
  };
}

/** The settings that dlm_controld runs with, by their names; empty when it does not run. */
export async function dlmSettings(): Promise<ReadonlyMap<string, string>> {
  const { stdout } = await ask('dlm', 'dlm_tool', ['dump_config']);
  return new Map([...stdout.matchAll(/^(\w+)=(\S*)/gm)].map(([, key = '', value = '']) => [key, value]));
}

/**
 * The lockspaces of this host.
 *
 * @returns undefined when dlm_controld does not run.
 */
export async function listLockspaces(): Promise<readonly Lockspace[] | undefined> {
  const { stdout, exitCode } = await ask('dlm', 'dlm_tool', ['ls']);
  return exitCode === 0 ? parseLockspaces(stdout) : undefined;
}

/** Reads what `dlm_tool ls` prints. */
export function parseLockspaces(text: string): readonly Lockspace[] {
  return text
    .split(/^name +/m)
    .slice(1)
    .map((section) => {
      const waits = /^new status .*?wait (\S.*)$/m.exec(section)?.[1];
      const members = /^members +(.*)$/m.exec(section)?.[1] ?? '';
      return {
        name: /^\S+/.exec(section)?.[0] ?? '',
        members: members.split(/\s+/).filter(Boolean).map(Number),
        stopped: /^flags .*kern_stop/m.test(section),
        ...(waits === undefined ? {} : { waits: waits.trim() }),
      };
    });
}

/** The cluster that the kernel's dlm is in; undefined when dlm_controld has not told it one. */
export function kernelClusterName(): string | undefined {
  try {
    return readFileSync(`${configfs}/cluster_name`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** The lockspaces of the kernel, also those that no daemon looks after any more. */
export function kernelLockspaces(): readonly string[] {
  const folder = '/sys/kernel/dlm';
  return existsSync(folder) ? readdirSync(folder) : [];
}

/**
 * Whether the locks of a lockspace of this host go on: the kernel has ended the last change of its members. It gives up
 * what it has of that as soon as dlm_controld stops the lockspace, and has all of it before the locks go on
 * (fs/dlm/member.c and recoverd.c, DLM_RS_DONE).
 */
export function isGoingOn(lockspace: string): boolean {
  try {
    const status = Number.parseInt(readFileSync(`/sys/kernel/dlm/${lockspace}/recover_status`, 'utf8'), 16);
    return (status & 0x40) !== 0;
  } catch {
    return false;
  }
}

/** The running dlm_controld: its process, and when it started in milliseconds since 1970; undefined when none runs. */
export function dlmDaemon(): { readonly pid: number; readonly startedAt: number } | undefined {
  const file = '/run/dlm_controld/dlm_controld.pid';
  try {
    const pid = Number.parseInt(readFileSync(file, 'utf8'), 10);
    if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'dlm_controld') return undefined;
    return { pid, startedAt: statSync(file).mtimeMs };
  } catch {
    return undefined;
  }
}

function field(text: string, name: string): string | undefined {
  return new RegExp(`^\\s+${name}=(\\S*)$`, 'm').exec(text)?.[1];
}
