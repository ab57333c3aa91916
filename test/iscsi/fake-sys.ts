/** A folder that looks like /sys of a host with iSCSI sessions: there are none where tests run. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** A disk of a session. */
export interface FakeDisk {
  readonly name: string;
  readonly lun: number;
  /** NAA 6 identifier, 32 hexadecimal digits; its SCSI id has a 3 before it. */
  readonly naa: string;
  readonly state?: string;
}

/** A session with one target over one portal. */
export interface FakeSession {
  readonly id: number;
  readonly iqn: string;
  readonly address: string;
  readonly port?: number;
  readonly state?: string;
  readonly recoveryTimeout?: string;
  readonly disks?: readonly FakeDisk[];
}

/** The kernel's view of some sessions; dispose of it to remove it. */
export class FakeSys {
  readonly folder = mkdtempSync(join(tmpdir(), 'sys-'));

  constructor(sessions: readonly FakeSession[]) {
    for (const session of sessions) this.#add(session);
  }

  /** Adds a device of the device mapper on top of others. */
  addMap(device: string, name: string, uuid: string, below: readonly string[]): void {
    this.#write(`block/${device}/dm/name`, name);
    this.#write(`block/${device}/dm/uuid`, uuid);
    for (const each of below)
      mkdirSync(join(this.folder, 'block', each, 'holders', device), { recursive: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }

  #add({
    id,
    iqn,
    address,
    port = 3260,
    state = 'LOGGED_IN',
    recoveryTimeout = 'off',
    disks = [],
  }: FakeSession): void {
    const device = `devices/platform/host${id}/session${id}`;
    const session = `${device}/iscsi_session/session${id}`;
    this.#write(`${session}/targetname`, iqn);
    this.#write(`${session}/tpgt`, '1');
    this.#write(`${session}/state`, state);
    this.#write(`${session}/recovery_tmo`, recoveryTimeout);
    this.#link(`${session}/device`, device);
    this.#link(`class/iscsi_session/session${id}`, session);
    this.#write(`class/iscsi_connection/connection${id}:0/persistent_address`, address);
    this.#write(`class/iscsi_connection/connection${id}:0/persistent_port`, String(port));
    for (const disk of disks) {
      const unit = `${device}/target${id}:0:0/${id}:0:0:${disk.lun}`;
      this.#write(`${unit}/state`, disk.state ?? 'running');
      this.#write(`${unit}/vendor`, 'LIO-ORG ');
      this.#write(`${unit}/model`, 'IBLOCK          ');
      const designator = Buffer.from(`01030010${disk.naa}`, 'hex');
      const page = Buffer.concat([Buffer.from([0, 0x83, 0, designator.length]), designator]);
      writeFileSync(join(this.folder, unit, 'vpd_pg83'), page);
      mkdirSync(join(this.folder, unit, 'block', disk.name), { recursive: true });
      this.#link(`block/${disk.name}/device`, unit);
    }
  }

  #write(file: string, text: string): void {
    const path = join(this.folder, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${text}\n`);
  }

  #link(link: string, to: string): void {
    const path = join(this.folder, link);
    mkdirSync(dirname(path), { recursive: true });
    symlinkSync(join(this.folder, to), path);
  }
}
