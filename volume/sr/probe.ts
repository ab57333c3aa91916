import { NumberedError, PluginError } from '../../src/smapi/errors.ts';
import type { Handler, ProbeResult } from '../../src/smapi/interface.ts';
import { type IscsiConfig, parseDeviceConfig } from '../device-config.ts';
import { readInitiatorName } from '../iscsi/initiator-name.ts';
import { formatPortal } from '../iscsi/portal.ts';
import { discover, mergeTargets } from '../probe/discovery.ts';
import { enumerate, sentenceOf, sentences, toProbeError } from '../probe/failures.ts';
import { type Inventory, takeInventory } from '../probe/inventory.ts';
import { targetRow, unitRows } from '../probe/results.ts';
import { groupUnits, type Unit } from '../probe/units.ts';

/** How long a probe may take altogether, in ms; more than any of its parts may take. */
const deadline = 60_000;

/**
 * `SR.probe`: portals alone give a row for each target; with targets, a row for each of their LUNs; with a
 * SCSI id, the row of that LUN, and the SR that is on it. It reads only: nothing is written or mounted,
 * and the kernel is not logged in. With `provider=path`, a row for the directory.
 *
 * @throws NumberedError 140 (host name), 141 (cannot connect), 68 (login or CHAP), 107 (no such LUN, or
 * none at all); PluginError for what has no number.
 */
export const probe: Handler<'SR.probe'> = async (parameters) => {
  // A client may probe with what an earlier probe told it of an SR; xapi takes no row of another kind that
  // names one.
  const { sr_uuid: _, ...configuration } = parameters.configuration;
  const config = parseDeviceConfig(configuration);
  if (config.provider === 'path') return probePath(configuration, config.path);
  const initiatorName = readInitiatorName();
  const signal = AbortSignal.timeout(deadline);
  return config.iqns.length === 0 && config.scsiId === undefined
    ? probeTargets(configuration, config, initiatorName, signal)
    : probeLuns(configuration, config, initiatorName, signal);
};

async function probePath(
  configuration: Readonly<Record<string, string>>,
  path: string,
): Promise<readonly ProbeResult[]> {
  const { probeDirectory } = await import('../probe/directory.ts');
  return probeDirectory(configuration, path);
}

async function probeTargets(
  configuration: Readonly<Record<string, string>>,
  config: IscsiConfig,
  initiatorName: string,
  signal: AbortSignal,
): Promise<readonly ProbeResult[]> {
  const { answers, failures, warnings } = await discover(config, initiatorName, signal);
  const errors = failures.map(({ error }) => error);
  if (answers.length === 0) throw toProbeError(errors, initiatorName);
  const targets = mergeTargets(answers);
  if (targets.length === 0) throw noTargets(config, initiatorName);
  const allWarnings = [...warnings, ...errors.map(sentenceOf)];
  return targets.map((target) => targetRow(configuration, target, allWarnings));
}

async function probeLuns(
  configuration: Readonly<Record<string, string>>,
  config: IscsiConfig,
  initiatorName: string,
  signal: AbortSignal,
): Promise<readonly ProbeResult[]> {
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
  const context = {
    targets: mergeTargets(inventory.answers),
    warnings: inventory.warnings,
    chosen: config.scsiId !== undefined,
  };
  return chosen.flatMap((unit) => unitRows(configuration, unit, context));
}

function noTargets({ portals }: IscsiConfig, initiatorName: string): Error {
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
