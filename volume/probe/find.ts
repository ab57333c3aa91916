/** The units that a device-config asks for, over all their paths; see takeInventory. */
import { NumberedError, PluginError } from '../../src/smapi/errors.ts';
import type { IscsiConfig } from '../device-config.ts';
import { formatPortal } from '../iscsi/portal.ts';
import { enumerate, sentenceOf, sentences, toProbeError } from './failures.ts';
import { type Inventory, takeInventory } from './inventory.ts';
import { groupUnits, type Unit } from './units.ts';

/**
 * Finds the units of the targets in `config` (of all targets, where it names none), or the one with its
 * SCSI id; two or more of them are twins that cannot be told apart.
 *
 * @returns at least one unit.
 * @throws NumberedError 140, 141, 68, 107; PluginError for what has no number.
 */
export async function findUnits(
  config: IscsiConfig,
  initiatorName: string,
  signal: AbortSignal,
): Promise<{ readonly units: readonly Unit[]; readonly inventory: Inventory }> {
  const inventory = await takeInventory(config, initiatorName, signal);
  if (inventory.targets.length === 0) {
    if (inventory.failures.length === 0) throw noTargets(config, initiatorName);
    throw toProbeError(inventory.failures, initiatorName);
  }
  const units = groupUnits(inventory.luns);
  if (units.length === 0) throw noLuns(inventory, initiatorName);
  const chosen =
    config.scsiId === undefined
      ? units
      : units.filter(({ luns: [lun] }) => lun.identity?.id === config.scsiId);
  if (chosen.length === 0) throw noSuchLun(config, inventory, units);
  return { units: chosen, inventory };
}

/** Nothing answered wrongly, and still there is no target. */
export function noTargets({ portals }: IscsiConfig, initiatorName: string): Error {
  return new PluginError(
    'NoTargets',
    `${enumerate(portals.map(formatPortal))} offers no target to ${initiatorName}; let this host in on the array.`,
  );
}

function noLuns({ targets, failures }: Inventory, initiatorName: string): Error {
  const also = failures.length === 0 ? '' : ` (${sentences(failures)})`;
  return new NumberedError(
    107,
    'NoLuns',
    `${enumerate(targets)} shows no disk to ${initiatorName}; map a LUN to this host on the array${also}.`,
  );
}

function noSuchLun({ scsiId }: IscsiConfig, { targets, failures }: Inventory, units: readonly Unit[]): Error {
  const luns = units.flatMap((unit) => unit.luns);
  const ids = [...new Set(luns.flatMap(({ identity }) => (identity === undefined ? [] : [identity.id])))];
  const shown = ids.length > 8 ? `${ids.slice(0, 8).join(', ')} and ${ids.length - 8} more` : ids.join(', ');
  const problems = [...luns.flatMap(({ problem }) => problem ?? []), ...failures.map(sentenceOf)];
  const also = problems.length === 0 ? '' : ` (${[...new Set(problems)].slice(0, 4).join('; ')})`;
  return new NumberedError(
    107,
    'NoSuchLun',
    `No LUN of ${enumerate(targets)} has SCSI id ${scsiId}; they have ${shown === '' ? 'none' : shown}${also}.`,
  );
}
