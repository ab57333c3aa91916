/**
 * The claim of a SR.create on its LUN: a label in the state `creating`, renewed while the call lives. So two
 * calls do not make two SRs in one place, and what a dead one left is known for that.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { hostUuid } from '../../../src/host-uuid.ts';
import { log } from '../../../src/log.ts';
import { PluginError } from '../../../src/smapi/errors.ts';
import type { IscsiConfig } from '../../device-config.ts';
import { superblockLength } from '../../layout/gfs2-superblock.ts';
import {
  decodeLabel,
  encodeLabel,
  type Label,
  type LabelState,
  labelLength,
  labelOffset,
} from '../../layout/label.ts';
import type { Content } from '../../probe/content.ts';
import { loadUserspace } from './parts.ts';
import type { SeenLun } from './userspace.ts';

/** Milliseconds between renewals, and without one after which a claim's owner is dead. */
const renewal = 4_000;
const patience = 15_000;
/** Milliseconds from writing a claim to looking whether another was written at the same time. */
const settling = 1_500;

/** A LUN, and how to reach it. */
export interface ClaimPlace {
  readonly config: IscsiConfig;
  readonly seen: SeenLun;
}

/** A claim that holds. */
export interface Claim {
  /** The label that it is. */
  readonly label: Label;
  /**
   * @param found the label that is on the LUN now.
   * @throws PluginError `ClaimLost` when another call has taken the LUN over.
   */
  check(found: Label | undefined): void;
  /** Stops renewing it, and waits for a renewal that is under way. */
  stop(): Promise<void>;
  /**
   * Takes it back: puts back what was there, or nothing where that is gone.
   *
   * @param formatted whether mkfs.gfs2 has begun.
   */
  withdraw(formatted: boolean): Promise<void>;
}

/**
 * Waits until it is sure that the owner of an unfinished SR.create or SR.destroy is dead.
 *
 * @throws PluginError `LunInUse` when it is at work.
 */
export async function awaitDeath(place: ClaimPlace, claim: string | undefined): Promise<void> {
  // On this host whoever has the LUN's lock knows that there is no other call.
  if (claim?.split('/')[0] === hostUuid()) return;
  const before = await readArea(place);
  for (const end = performance.now() + patience; performance.now() < end; ) {
    await sleep(renewal);
    if (Buffer.compare(before, await readArea(place)) !== 0) {
      throw new PluginError(
        'LunInUse',
        `Another host is making or destroying an SR on the LUN ${place.seen.scsiId}; wait for it, or choose another LUN.`,
      );
    }
  }
}

/**
 * Claims a LUN, as it was when it was decided that it may be taken.
 *
 * @param label the SR that is to be made.
 * @throws PluginError `ClaimLost`.
 */
export async function claimLun(place: ClaimPlace, label: Omit<Label, 'state' | 'claim'>): Promise<Claim> {
  const owned: Label = { ...label, state: 'creating', claim: `${hostUuid() ?? ''}/${crypto.randomUUID()}` };
  const original = await readArea(place);
  if (wasTaken(place.seen.content, decodeLabel(original))) throw lost(place);
  const isOurs = (found: Label | undefined): boolean => found?.claim === owned.claim;
  const check = (found: Label | undefined): void => {
    if (!isOurs(found)) throw lost(place);
  };
  const { writeLun } = await loadUserspace();

  // In the first slot of an empty label, and all of the region in one command: nothing else is left then.
  const region = Buffer.alloc(labelLength);
  region.set(encodeLabel(region, owned).bytes);
  await writeLun(place.config, place.seen, [{ offset: labelOffset, bytes: region }]);
  await sleep(settling);
  check(labelOf(await readArea(place)));

  const renew = async (): Promise<void> => {
    const area = await readArea(place);
    const found = labelOf(area);
    // mkfs.gfs2 clears the region; who else has claimed it is seen by `check`.
    if (found !== undefined && !isOurs(found)) return;
    await writeLun(place.config, place.seen, [encodeLabel(area, owned)]);
  };
  const stopping = new AbortController();
  const renewing = (async () => {
    while (!stopping.signal.aborted) {
      await sleep(renewal, undefined, { signal: stopping.signal }).catch(() => {});
      if (stopping.signal.aborted) return;
      await renew().catch((error: unknown) =>
        log(
          'warning',
          `the claim on the LUN ${place.seen.scsiId} was not renewed: ${(error as Error).message}`,
        ),
      );
    }
  })();
  const stop = async (): Promise<void> => {
    stopping.abort();
    await renewing;
  };
  const withdraw = async (formatted: boolean): Promise<void> => {
    await stop();
    const found = labelOf(await readArea(place));
    if (found !== undefined && !isOurs(found)) return;
    const bytes = formatted ? new Uint8Array(labelLength + superblockLength) : original;
    await writeLun(place.config, place.seen, [{ offset: labelOffset, bytes }]);
  };
  return { label: owned, check, stop, withdraw };
}

async function readArea({ config, seen }: ClaimPlace): Promise<Buffer> {
  const { readLun } = await loadUserspace();
  return Buffer.from(await readLun(config, seen, labelOffset, labelLength));
}

function labelOf(area: Uint8Array): Label | undefined {
  const state = decodeLabel(area);
  return state.kind === 'label' ? state.label : undefined;
}

/** Whether a label has come since the LUN was looked at. */
function wasTaken(seen: Content, found: LabelState): boolean {
  if (seen.kind === 'blank') return found.kind !== 'none';
  const known = seen.kind === 'unfinished' ? seen.label?.claim : undefined;
  return found.kind === 'label' && found.label.state !== undefined && found.label.claim !== known;
}

function lost({ seen }: ClaimPlace): PluginError {
  return new PluginError(
    'ClaimLost',
    `Another call has begun to make an SR on the LUN ${seen.scsiId} at the same time; use the SR that it makes, or choose another LUN.`,
  );
}
