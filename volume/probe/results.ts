/** The rows of SR.probe's answer. XenCenter reads `LUNid`, `vendor`, `serial` and `size` of extra_info. */
import type { ProbeResult, SrStat } from '../../src/smapi/interface.ts';
import { extendDeviceConfig } from '../device-config.ts';
import { formatPortal, type Portal } from '../iscsi/portal.ts';
import { leastSrSize } from '../layout/journals.ts';
import { describeContent } from './content.ts';
import { formatTargetPortal, type Target } from './discovery.ts';
import { blockSizes, type Disk } from './lun.ts';
import type { Unit } from './units.ts';

type Configuration = Readonly<Record<string, string>>;

/** A row for a target: the configuration goes on with its LUNs. */
export function targetRow(
  configuration: Configuration,
  target: Target,
  warnings: readonly string[],
): ProbeResult {
  return {
    configuration: extendDeviceConfig(configuration, { iqns: target.name }),
    complete: false,
    extra_info: {
      portals: target.portals.map(formatTargetPortal).join(' '),
      tpgt: [...new Set(target.portals.map(({ tpgt }) => tpgt))].join(' '),
      ...warningInfo(warnings),
    },
  };
}

/**
 * The rows for a unit.
 *
 * While the client still chooses a LUN it gets one row for each, since clients list every row as a LUN
 * of its own and may fail on two alike. Once it has chosen (`chosen`), a LUN with an SR has two: to make
 * a new SR there, and to attach the one that is there.
 */
export function unitRows(
  configuration: Configuration,
  unit: Unit,
  context: {
    readonly targets: readonly Target[];
    readonly warnings: readonly string[];
    readonly chosen: boolean;
  },
): readonly ProbeResult[] {
  const [lun] = unit.luns;
  const found = existingSr(unit);
  const extended = extendDeviceConfig(configuration, {
    iqns: unit.luns.map(({ target }) => target).join(','),
    ...(lun.identity === undefined ? {} : { ScsiId: lun.identity.id }),
  });
  const info = { ...unitInfo(unit, context.targets), ...warningInfo(context.warnings) };
  const obstacle = unit.identityProblem ?? lun.problem ?? obstacleOf(lun.disk);
  const toCreate: ProbeResult = {
    configuration: extended,
    complete: obstacle === undefined,
    extra_info: obstacle === undefined ? info : { ...info, problem: obstacle },
  };
  if (found === undefined) return [toCreate];
  const toAttach: ProbeResult = {
    configuration: { ...extended, sr_uuid: found.uuid ?? '' },
    complete: true,
    sr: found,
    extra_info: lun.disk?.readOnly === true ? { ...info, problem: writeProtected } : info,
  };
  return context.chosen ? [toCreate, toAttach] : [toAttach];
}

/** The SR of a unit; a copy of an SR, or an SR on a unit that may be confused with another, is none. */
function existingSr({ luns: [lun], identityProblem }: Unit): SrStat | undefined {
  const content = lun.disk?.content;
  if (content?.kind !== 'sr' || identityProblem !== undefined) return undefined;
  const { label, superblock } = content;
  if (label.scsiId !== lun.identity?.id) return undefined;
  const users = lun.disk?.registeredKeys?.length ?? 0;
  return {
    sr: label.uuid,
    uuid: label.uuid,
    name: label.name,
    description: label.description,
    free_space: label.freeSpace,
    total_space: label.totalSpace,
    datasources: [],
    clustered: superblock.lockProtocol === 'lock_dlm',
    health: [
      // A filesystem with a journal cannot be mounted there; that of an array's read-only copy, for instance.
      lun.disk?.readOnly === true ? 'Unreachable' : 'Healthy',
      `${lun.disk?.readOnly === true ? `${sentence(writeProtected)} ` : ''}${users === 0 ? 'No host has registered for this LUN' : `In use: ${hosts(users)} registered for this LUN`}. Sizes are as an attached host last noted them.`,
    ],
  };
}

const writeProtected = 'it is write-protected on the array';

/** Why no SR can be made on a disk, other than that it carries something. */
export function obstacleOf(disk: Disk | undefined): string | undefined {
  if (disk === undefined) return undefined;
  const { bytes, blockSize } = disk.capacity;
  if (!blockSizes.includes(blockSize))
    return `its blocks have ${blockSize} bytes, which no filesystem can use`;
  if (bytes < leastSrSize) {
    return `it has ${bytes} bytes, too few for an SR, which needs ${leastSrSize} (${leastSrSize / 1048576n} MiB); make it larger on the array`;
  }
  if (disk.readOnly === true) return writeProtected;
  const users = disk.registeredKeys?.length ?? 0;
  if (users > 0) return `it is in use: ${hosts(users)} registered a reservation key for it`;
  return undefined;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function hosts(count: number): string {
  return count === 1 ? 'one host has' : `${count} hosts have`;
}

function unitInfo(unit: Unit, targets: readonly Target[]): Configuration {
  const [lun] = unit.luns;
  const { entry, inquiry, serial, disk } = lun;
  return {
    LUN: String(entry.lun),
    LUNid: String(entry.lun),
    LUN_raw: entry.raw,
    vendor: inquiry?.vendor ?? '',
    product: inquiry?.product ?? '',
    revision: inquiry?.revision ?? '',
    serial: serial ?? '',
    ...(disk === undefined ? {} : diskInfo(disk)),
    ...(disk === undefined ? {} : { carries: carries(unit) }),
    portals: [...new Set(unit.luns.flatMap((each) => portalsOf(each, targets)))].join(' '),
    ...(unit.luns.length === 1
      ? {}
      : {
          targets: unit.luns
            .map(({ target, entry: { lun: number } }) => `${target} LUN ${number}`)
            .join(', '),
        }),
  };
}

function diskInfo({ capacity, readOnly, registeredKeys }: Disk): Configuration {
  return {
    size: capacity.bytes.toString(),
    block_size: String(capacity.blockSize),
    physical_block_size: String(capacity.physicalBlockSize),
    thin: String(capacity.thin),
    read_only: readOnly === undefined ? 'unknown' : String(readOnly),
    registered_keys: registeredKeys === undefined ? 'unknown' : registeredKeys.join(' '),
  };
}

function carries({ luns: [lun], identityProblem }: Unit): string {
  const content = lun.disk?.content;
  if (content === undefined) return 'unknown';
  const what = describeContent(content);
  if (content.kind !== 'sr') return what;
  const { scsiId } = content.label;
  if (scsiId !== lun.identity?.id) return `a copy of ${what}, which is on the LUN with SCSI id ${scsiId}`;
  return identityProblem === undefined ? what : `${what}, or a copy of it`;
}

/** Portals of a LUN with their groups, as far as discovery told of them. */
function portalsOf({ target, portals }: Unit['luns'][0], targets: readonly Target[]): readonly string[] {
  const known = targets.find(({ name }) => name.toLowerCase() === target.toLowerCase())?.portals ?? [];
  return portals.map((portal: Portal) => {
    const text = formatPortal(portal);
    const told = known.find((candidate) => formatPortal(candidate) === text);
    return told === undefined ? text : formatTargetPortal(told);
  });
}

function warningInfo(warnings: readonly string[]): Configuration {
  return warnings.length === 0 ? {} : { warnings: `${warnings.join('. ')}.` };
}
