/** The LUN of an SR as our own initiator sees it, before the kernel is told of it. */
import { login, type Session } from 'node-iscsi-initiator';
import { PluginError } from '../../../src/smapi/errors.ts';
import type { IscsiConfig } from '../../device-config.ts';
import { readInitiatorName } from '../../iscsi/initiator-name.ts';
import type { KernelTarget } from '../../iscsi/kernel/index.ts';
import { formatPortal } from '../../iscsi/portal.ts';
import type { LabelWrite } from '../../layout/label.ts';
import type { Content } from '../../probe/content.ts';
import { credentials, mergeTargets } from '../../probe/discovery.ts';
import { sentenceOf, toProbeError } from '../../probe/failures.ts';
import { findUnits } from '../../probe/find.ts';
import type { Lun } from '../../probe/inventory.ts';
import { obstacleOf } from '../../probe/results.ts';
import type { Unit } from '../../probe/units.ts';

/** Milliseconds for the whole look, and for a login with one command or two. */
const lookTimeout = 60_000;
const commandTimeout = 10_000;

/** A LUN as it was seen. */
export interface SeenLun {
  readonly scsiId: string;
  /** Bytes. */
  readonly size: bigint;
  readonly blockSize: number;
  readonly content: Content;
  /** Why no SR can be made on it, whatever it carries; without a full stop. */
  readonly obstacle?: string;
  /** Its targets with all their portals, and how to log in. */
  readonly targets: readonly KernelTarget[];
  /** What did not work on the way, a sentence each. */
  readonly warnings: readonly string[];
  /** Over which it can be reached. */
  readonly lun: Lun;
}

/**
 * Looks at the LUN that a device-config names, over all portals.
 *
 * @throws NumberedError 140, 141, 68, 107; PluginError `LunAmbiguous`, `LunUnusable`.
 */
export async function lookAtLun(config: IscsiConfig): Promise<SeenLun> {
  const signal = AbortSignal.timeout(lookTimeout);
  const { units, inventory } = await findUnits(config, readInitiatorName(), signal);
  const [unit] = units as [Unit, ...Unit[]];
  const [lun] = unit.luns;
  if (unit.identityProblem !== undefined) {
    throw new PluginError(
      'LunAmbiguous',
      `The LUN ${config.scsiId} cannot be used: ${unit.identityProblem}.`,
    );
  }
  const { disk } = lun;
  if (disk === undefined) {
    throw new PluginError(
      'LunUnusable',
      `The LUN ${config.scsiId} cannot be used: ${lun.problem ?? 'it is not ready'}; look at it on the array.`,
    );
  }
  const obstacle = obstacleOf(disk);
  return {
    scsiId: lun.identity?.id ?? '',
    size: disk.capacity.bytes,
    blockSize: disk.capacity.blockSize,
    content: disk.content,
    ...(obstacle === undefined ? {} : { obstacle }),
    targets: unit.luns.map((each) => kernelTarget(config, each, mergeTargets(inventory.answers))),
    warnings: inventory.warnings,
    lun,
  };
}

/** All portals that discovery told of, and those over which we reached the LUN that it does not know. */
function kernelTarget(
  config: IscsiConfig,
  { target, portals, entry }: Lun,
  told: ReturnType<typeof mergeTargets>,
): KernelTarget {
  const known = told.find(({ name }) => name.toLowerCase() === target.toLowerCase())?.portals ?? [];
  const spelled = new Set(known.map(formatPortal));
  return {
    iqn: target,
    rawLun: entry.raw,
    portals: [
      ...known.map(({ host, port, tpgt }) => ({ address: host, port, tpgt })),
      ...portals
        .filter((portal) => !spelled.has(formatPortal(portal)))
        .map(({ host, port }) => ({ address: host, port })),
    ],
    ...credentials(config),
  };
}

/** Reads a range of a LUN, in bytes, whole blocks. */
export async function readLun(
  config: IscsiConfig,
  seen: SeenLun,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  return await withSession(config, seen, (session) =>
    session.read(
      seen.lun.entry.lun,
      BigInt(offset / seen.blockSize),
      length / seen.blockSize,
      seen.blockSize,
    ),
  );
}

/** Writes ranges of a LUN one after the other, and returns once all are on the medium. */
export async function writeLun(
  config: IscsiConfig,
  seen: SeenLun,
  writes: readonly LabelWrite[],
): Promise<void> {
  await withSession(config, seen, async (session) => {
    const { lun } = seen.lun.entry;
    for (const { offset, bytes } of writes) {
      await session.write(lun, BigInt(offset / seen.blockSize), bytes, seen.blockSize);
    }
    await session.synchronizeCache(lun);
  });
}

/** Over the first portal that works. */
async function withSession<T>(
  config: IscsiConfig,
  { lun, scsiId }: SeenLun,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const initiatorName = readInitiatorName();
  const failures: unknown[] = [];
  for (const portal of lun.portals) {
    let session: Session;
    try {
      session = await login({
        portal,
        target: lun.target,
        initiatorName,
        ...credentials(config),
        timeout: commandTimeout,
      });
    } catch (error) {
      failures.push(error);
      continue;
    }
    try {
      return await use(session);
    } catch (error) {
      throw new PluginError(
        'LunUnusable',
        `The LUN ${scsiId} cannot be used: ${sentenceOf(error)}; see the log of the array.`,
        { cause: error },
      );
    } finally {
      await session.close();
    }
  }
  throw toProbeError(failures, initiatorName);
}
