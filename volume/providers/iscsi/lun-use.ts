/**
 * What this host's kernel has been logged in to for an SR: noted before the first login, forgotten after the
 * last logout, so that whatever a call left that died can be let go by the next.
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { removeFile, writeFileAtomically } from '../../../src/atomic-file.ts';
import { hostPaths } from '../../../src/host-paths.ts';
import { isUuid } from '../../../src/uuid.ts';
import type { TargetPortal } from '../../iscsi/kernel/index.ts';

/** A target, without secrets. */
export interface UsedTarget {
  readonly iqn: string;
  readonly portals: readonly TargetPortal[];
}

/** A LUN in use. */
export interface LunUse {
  /** The SR's uuid. */
  readonly uuid: string;
  readonly purpose: 'create' | 'attach';
  readonly scsiId: string;
  readonly targets: readonly UsedTarget[];
  /** Of the filesystem. */
  readonly lockTable: string;
  /** Bytes when they were last seen, as decimal strings. */
  readonly space?: { readonly free: string; readonly total: string };
  /** From when SR.destroy has nothing more to do on the LUN. */
  readonly wiped?: true;
  /** Milliseconds since the epoch: since when SR.stat has seen no path that works. */
  readonly unreachableSince?: number;
}

function folder(): string {
  return `${hostPaths.run}/lun`;
}

function file(uuid: string): string {
  return `${folder()}/${uuid}.json`;
}

/** Notes a use, or what changed about it. */
export function noteLunUse(use: LunUse): void {
  mkdirSync(folder(), { recursive: true, mode: 0o700 });
  writeFileAtomically(file(use.uuid), `${JSON.stringify(use)}\n`);
}

/** Notes that an SR's LUN is not in use any more. */
export function forgetLunUse(uuid: string): void {
  removeFile(file(uuid));
}

/** The use of an SR's LUN; undefined where there is none, or the note is damaged. */
export function findLunUse(uuid: string): LunUse | undefined {
  if (!isUuid(uuid)) return undefined;
  try {
    const use = JSON.parse(readFileSync(file(uuid), 'utf8')) as Partial<LunUse> | null;
    return use?.uuid === uuid && Array.isArray(use.targets) ? (use as LunUse) : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** All uses of one LUN. */
export function findUsesOf(scsiId: string): readonly LunUse[] {
  let names: readonly string[] = [];
  try {
    names = readdirSync(folder());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return names.flatMap((name) => {
    const use = name.endsWith('.json') ? findLunUse(name.slice(0, -'.json'.length)) : undefined;
    return use?.scsiId === scsiId ? [use] : [];
  });
}
