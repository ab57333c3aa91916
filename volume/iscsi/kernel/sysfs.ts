/** Reading of /sys: the only module that knows where the kernel shows what. */
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { hostPaths } from '../../../src/host-paths.ts';

/** What /sys/class/iscsi_session and /sys/class/iscsi_connection show of a session, as it is there. */
export interface SessionAttributes {
  readonly id: number;
  readonly targetName: string;
  readonly tpgt: string;
  readonly state: string;
  readonly recoveryTimeout: string;
  readonly persistentAddress: string;
  readonly persistentPort: string;
}

/** A disk in /sys. */
export interface Disk {
  /** Such as `sdb`. */
  readonly name: string;
  /** Such as `3:0:0:20`. */
  readonly scsiAddress: string;
}

/** What /sys shows of a device of the device mapper. */
export interface MapAttributes {
  /** Such as `dm-3`. */
  readonly device: string;
  readonly name: string;
  /** Multipath's begin with `mpath-`. */
  readonly uuid: string;
}

/** All sessions of open-iscsi's transports. */
export function readSessions(): readonly SessionAttributes[] {
  return list('class/iscsi_session').flatMap((name) => {
    const id = /^session(\d+)$/.exec(name)?.[1];
    if (id === undefined) return [];
    const session = `class/iscsi_session/${name}`;
    const connection = `class/iscsi_connection/connection${id}:0`;
    return {
      id: Number(id),
      targetName: text(`${session}/targetname`),
      tpgt: text(`${session}/tpgt`),
      state: text(`${session}/state`),
      recoveryTimeout: text(`${session}/recovery_tmo`),
      persistentAddress: text(`${connection}/persistent_address`),
      persistentPort: text(`${connection}/persistent_port`),
    };
  });
}

/** The file with the seconds for which a session's I/O waits for it. */
export function recoveryTimeoutFile(session: number): string {
  return `${hostPaths.sys}/class/iscsi_session/session${session}/recovery_tmo`;
}

/** The disks of a session that have a device node. */
export function readDisks(session: number): readonly Disk[] {
  const device = `class/iscsi_session/session${session}/device`;
  return list(device)
    .filter((name) => /^target\d/.test(name))
    .flatMap((target) => list(`${device}/${target}`).map((name) => [target, name] as const))
    .filter(([, name]) => /^\d+(:\d+){3}$/.test(name))
    .flatMap(([target, scsiAddress]) =>
      list(`${device}/${target}/${scsiAddress}/block`).map((name) => ({ name, scsiAddress })),
    );
}

/** The file by which the kernel is told to look for LUNs that a session does not show; undefined where it is gone. */
export function scanFile(session: number): string | undefined {
  try {
    const device = realpathSync(`${hostPaths.sys}/class/iscsi_session/session${session}/device`);
    return `${hostPaths.sys}/class/scsi_host/${basename(dirname(device))}/scan`;
  } catch {
    return undefined;
  }
}

/** The kernel's word for how a disk is. */
export function readDiskState({ name }: Disk): string {
  return text(`block/${name}/device/state`);
}

/** A page of vital product data as it was when the kernel last looked; undefined where the disk has none. */
export function readDiskPage({ name }: Disk, page: '80' | '83'): Uint8Array | undefined {
  const bytes = read(`block/${name}/device/vpd_pg${page}`);
  return bytes?.length === 0 ? undefined : bytes;
}

/** The strings that a disk gave in its INQUIRY data. */
export function readDiskStrings({ name }: Disk): { readonly vendor: string; readonly product: string } {
  return { vendor: text(`block/${name}/device/vendor`), product: text(`block/${name}/device/model`) };
}

/** The file in which a disk's unit has `attribute`, such as `delete` or `rescan`. */
export function unitFile(disk: string, attribute: string): string {
  return `${hostPaths.sys}/block/${disk}/device/${attribute}`;
}

/** Bytes of a block device, such as `sdb` or `dm-3`. */
export function readSize(device: string): bigint {
  // In units of 512 bytes, whatever the device's blocks are.
  return BigInt(text(`block/${device}/size`) || '0') * 512n;
}

/** The number of a block device, such as `8:16`. */
export function readDeviceNumber(device: string): string {
  return text(`block/${device}/dev`);
}

/** Block devices on top of a block device, and its partitions. */
export function readHolders(device: string): readonly string[] {
  const partitions = list(`block/${device}`).filter(
    (name) => name.startsWith(device) && text(`block/${device}/${name}/partition`) !== '',
  );
  const ofPartitions = partitions.flatMap((name) => list(`block/${device}/${name}/holders`));
  return [...partitions, ...list(`block/${device}/holders`), ...ofPartitions];
}

/** A device of the device mapper; undefined where `device` is none. */
export function readMap(device: string): MapAttributes | undefined {
  const name = text(`block/${device}/dm/name`);
  return name === '' ? undefined : { device, name, uuid: text(`block/${device}/dm/uuid`) };
}

/** All devices of the device mapper. */
export function readMaps(): readonly MapAttributes[] {
  return list('block')
    .filter((name) => name.startsWith('dm-'))
    .flatMap((name) => readMap(name) ?? []);
}

/** Whether the kernel has iSCSI over TCP. */
export function hasTcpTransport(): boolean {
  return list('class/iscsi_transport').includes('tcp');
}

/** The name of a device by any path to it, such as `dm-3` of `/dev/mapper/x`; undefined where it is gone. */
export function deviceName(path: string): string | undefined {
  try {
    return basename(realpathSync(path));
  } catch {
    return undefined;
  }
}

function text(file: string): string {
  return (read(file)?.toString('latin1') ?? '').replace(/\n$/, '');
}

// Devices go while they are looked at: what cannot be read is not there.
function read(file: string): Buffer | undefined {
  try {
    return readFileSync(`${hostPaths.sys}/${file}`);
  } catch {
    return undefined;
  }
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(`${hostPaths.sys}/${folder}`);
  } catch {
    return [];
  }
}
