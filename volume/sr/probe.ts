import type { Handler, ProbeResult } from '../../src/smapi/interface.ts';
import { type IscsiConfig, parseDeviceConfig } from '../device-config.ts';
import { readInitiatorName } from '../iscsi/initiator-name.ts';
import { discover, mergeTargets } from '../probe/discovery.ts';
import { sentenceOf, toProbeError } from '../probe/failures.ts';
import { findUnits, noTargets } from '../probe/find.ts';
import { targetRow, unitRows } from '../probe/results.ts';

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
  const { units, inventory } = await findUnits(config, initiatorName, signal);
  const context = {
    targets: mergeTargets(inventory.answers),
    warnings: inventory.warnings,
    chosen: config.scsiId !== undefined,
  };
  return units.flatMap((unit) => unitRows(configuration, unit, context));
}
