/**
 * Which LUNs this host has sessions for, so that letting go of one LUN does not end a session that another
 * one needs, also while that one is not mounted yet.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { removeFile, writeFileAtomically } from '../../../src/atomic-file.ts';
import { stateFolder } from './locks.ts';

interface Claim {
  readonly scsiId: string;
  readonly iqns: readonly string[];
}

/**
 * Says that a LUN needs the sessions with a target, besides those that it needs already.
 *
 * @returns whether nobody has said so before.
 */
export function claimTarget(scsiId: string, iqn: string): boolean {
  const others = readClaims().find((claim) => claim.scsiId === scsiId)?.iqns ?? [];
  if (others.includes(iqn.toLowerCase())) return false;
  mkdirSync(claimsFolder(), { recursive: true, mode: 0o700 });
  writeClaim({ scsiId, iqns: [...others, iqn.toLowerCase()] });
  return true;
}

/** Says that a LUN does not need the sessions with a target any more. */
export function dropTarget(scsiId: string, iqn: string): void {
  const claim = readClaims().find((each) => each.scsiId === scsiId);
  const iqns = claim?.iqns.filter((each) => each !== iqn.toLowerCase()) ?? [];
  if (iqns.length > 0) writeClaim({ scsiId, iqns });
  else dropClaim(scsiId);
}

/** Says that a LUN needs no sessions any more. */
export function dropClaim(scsiId: string): void {
  removeFile(claimFile(scsiId));
}

/** Whether any LUN but `scsiId` needs the sessions with a target. */
export function isClaimed(iqn: string, scsiId: string): boolean {
  return readClaims().some((claim) => claim.scsiId !== scsiId && claim.iqns.includes(iqn.toLowerCase()));
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
