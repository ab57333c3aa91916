/**
 * Which LUNs this host has sessions for, so that letting go of one LUN does not end a session that another
 * one needs, also while that one is not mounted yet.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { removeFile, writeFileAtomically } from '../../../src/atomic-file.ts';
import { stateFolder } from './locks.ts';
import type { KernelTarget } from './model.ts';

interface ClaimedTarget {
  /** In lower case. */
  readonly iqn: string;
  /** Where the target shows the LUN, as REPORT LUNS has it. */
  readonly rawLun?: string;
}

interface Claim {
  readonly scsiId: string;
  readonly targets: readonly ClaimedTarget[];
}

/**
 * Says that a LUN needs the sessions with a target, besides those that it needs already.
 *
 * @returns whether nobody has said so before.
 */
export function claimTarget(scsiId: string, { iqn, rawLun }: Pick<KernelTarget, 'iqn' | 'rawLun'>): boolean {
  const claimed = targetsOf(scsiId);
  const others = claimed.filter((target) => target.iqn !== iqn.toLowerCase());
  mkdirSync(claimsFolder(), { recursive: true, mode: 0o700 });
  const target = { iqn: iqn.toLowerCase(), ...(rawLun === undefined ? {} : { rawLun }) };
  writeClaim({ scsiId, targets: [...others, target] });
  return others.length === claimed.length;
}

/** Where a target is expected to show a LUN; undefined where nobody knows. */
export function claimedLun(scsiId: string, iqn: string): string | undefined {
  return targetsOf(scsiId).find((target) => target.iqn === iqn.toLowerCase())?.rawLun;
}

/** Says that a LUN does not need the sessions with a target any more. */
export function dropTarget(scsiId: string, iqn: string): void {
  const targets = targetsOf(scsiId).filter((target) => target.iqn !== iqn.toLowerCase());
  if (targets.length > 0) writeClaim({ scsiId, targets });
  else dropClaim(scsiId);
}

/** Says that a LUN needs no sessions any more. */
export function dropClaim(scsiId: string): void {
  removeFile(claimFile(scsiId));
}

/** Whether any LUN but `scsiId` needs the sessions with a target. */
export function isClaimed(iqn: string, scsiId: string): boolean {
  return readClaims().some(
    (claim) => claim.scsiId !== scsiId && claim.targets.some((target) => target.iqn === iqn.toLowerCase()),
  );
}

function targetsOf(scsiId: string): readonly ClaimedTarget[] {
  return readClaims().find((claim) => claim.scsiId === scsiId)?.targets ?? [];
}

function writeClaim(claim: Claim): void {
  writeFileAtomically(claimFile(claim.scsiId), `${JSON.stringify(claim)}\n`);
}

function readClaims(): readonly Claim[] {
  let names: readonly string[];
  try {
    names = readdirSync(claimsFolder());
  } catch {
    return [];
  }
  return names
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => {
      try {
        return JSON.parse(readFileSync(`${claimsFolder()}/${name}`, 'utf8')) as Claim;
      } catch {
        return [];
      }
    });
}

function claimsFolder(): string {
  return `${stateFolder()}/luns`;
}

function claimFile(scsiId: string): string {
  return `${claimsFolder()}/${createHash('sha256').update(scsiId).digest('hex').slice(0, 32)}.json`;
}
