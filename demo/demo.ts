/**
 * The main job, on real input: from the address of a portal to the SRs behind it, and from an SR to a disk
 * that runs. Every step is a call of an installed entry file, with JSON on its standard input, as xapi
 * makes it.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseFileUri } from '../datapath/file-uri.ts';
import type { ProbeResult } from '../src/smapi/interface.ts';
import { CallFailed, datapathCaller, volumeCaller } from '../test/support/xapi.ts';
import { formatBytes, headline, line, table } from './print.ts';
import { labelSr, srSerial, startArray } from './storage.ts';
import { UndoStack } from './undo.ts';

const lunHeader = ['LUN', 'SCSI id', 'size', 'block', 'vendor', 'product', 'serial', 'carries'];

const undo = new UndoStack();
let failure: unknown;
try {
  await demonstrate();
} catch (error) {
  failure = error;
}
headline('5. Everything is taken away again');
const leftOvers = await undo.unwind(line);
for (const leftOver of leftOvers) process.stderr.write(`Could not be undone: ${leftOver}\n`);
if (failure !== undefined) {
  process.stderr.write(
    `\nThe demo ended early: ${failure instanceof Error ? failure.message : String(failure)}\n`,
  );
} else {
  headline('Done');
  line('No process, device or file is left.');
}
process.exit(undo.interrupt !== undefined ? 130 : failure !== undefined || leftOvers.length > 0 ? 1 : 0);

async function demonstrate(): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'gfs2-iscsi-sr-demo-'));
  undo.push('the scratch folder', () => rm(scratch, { recursive: true, force: true }));
  const initiatorName = join(scratch, 'initiatorname.iscsi');
  writeFileSync(initiatorName, 'InitiatorName=iqn.2026-11.org.example:demo-host\n');
  const environment = {
    GFS2_SR_RUN_DIR: join(scratch, 'run'),
    GFS2_SR_INITIATOR_NAME_FILE: initiatorName,
    // What stands by for the next call would outlive these folders.
    GFS2_SR_STANDBY: 'no',
  };
  await walkArray(scratch, environment);
  await runDisk(scratch, environment);
}

async function walkArray(scratch: string, environment: Readonly<Record<string, string>>): Promise<void> {
  const volume = volumeCaller(environment);
  headline('0. A private iSCSI target starts');
  const array = await startArray(scratch);
  undo.push('the iSCSI target', () => array.tgtd.stop());
  const probe = async (configuration: Readonly<Record<string, string>>) => {
    undo.check();
    return volume('SR.probe', { configuration });
  };

  const forSr = {
    provider: 'iscsi',
    ips: `${array.tgtd.host}:${array.tgtd.port}`,
    iqns: array.chapTarget,
    chapuser: array.chap.user,
    chappassword: array.chap.secret,
  };
  const srLun = (await probe(forSr)).find(({ extra_info }) => extra_info.serial === srSerial);
  if (srLun?.configuration.ScsiId === undefined) throw new Error('the LUN for the SR was not found');
  labelSr(array, srLun.configuration.ScsiId);

  const portal = { provider: 'iscsi', ips: array.tgtd.host, port: String(array.tgtd.port) };
  headline(`1. SR.probe of the portal ${portal.ips}:${portal.port}: which targets are there?`);
  const targets = await probe(portal);
  table(
    ['target', 'portals'],
    targets.map(({ configuration, extra_info }) => [configuration.iqns ?? '', extra_info.portals ?? '']),
  );

  headline(`2. SR.probe of ${array.openTarget}: which LUNs has it?`);
  table(lunHeader, (await probe({ ...portal, iqns: array.openTarget })).map(lunRow));

  headline(`   SR.probe of ${array.chapTarget} without CHAP`);
  try {
    await probe({ ...portal, iqns: array.chapTarget });
    throw new Error('a target that wants CHAP let us in without it');
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error;
    line(`${error.code}: ${error.params.at(-1)}`);
  }

  headline('   The same, with CHAP');
  const withChap = {
    ...portal,
    iqns: array.chapTarget,
    chapuser: array.chap.user,
    chappassword: array.chap.secret,
  };
  const luns = await probe(withChap);
  table(lunHeader, luns.map(lunRow));

  const scsiId = luns.find(({ sr }) => sr?.uuid === array.srUuid)?.configuration.ScsiId;
  if (scsiId === undefined) throw new Error('the SR on the array was not found');
  headline(`3. SR.probe of LUN ${scsiId}: is there an SR?`);
  table(
    ['sr_uuid', 'name', 'size', 'clustered', 'health'],
    (await probe({ ...withChap, ScsiId: scsiId })).flatMap(({ sr }) =>
      sr === undefined
        ? []
        : [[sr.uuid ?? '', sr.name, formatBytes(sr.total_space), String(sr.clustered), sr.health.join(': ')]],
    ),
  );
}

function lunRow({ configuration, extra_info }: ProbeResult): readonly string[] {
  const info = (key: string) => extra_info[key] ?? '';
  return [
    info('LUNid'),
    configuration.ScsiId ?? '',
    info('size') === '' ? '' : formatBytes(BigInt(info('size'))),
    info('block_size'),
    info('vendor'),
    info('product'),
    info('serial'),
    info('carries'),
  ];
}

async function runDisk(scratch: string, environment: Readonly<Record<string, string>>): Promise<void> {
  const volume = volumeCaller(environment);
  const path = join(scratch, 'sr');
  mkdirSync(path);

  undo.check();
  headline('4. An SR in a directory, a volume in it, and its disk');
  const configuration = await volume('SR.create', {
    uuid: crypto.randomUUID(),
    configuration: { provider: 'path', path, 'image-format': 'raw' },
    name: 'Demo',
    description: 'An SR of this host alone',
  });
  const sr = await volume('SR.attach', { configuration });
  undo.push('SR.destroy', () => volume('SR.destroy', { sr }));
  line(`SR.create, SR.attach      ${sr}`);

  undo.check();
  const size = 64n * 2n ** 20n;
  const { key, uri } = await volume('Volume.create', {
    sr,
    name: 'Disk',
    description: '',
    size,
    sharable: false,
  });
  undo.push('Volume.destroy', () => volume('Volume.destroy', { sr, key }));
  const [best = ''] = uri;
  line(`Volume.create             ${formatBytes(size)}, ${best.slice(0, best.indexOf(':'))}`);

  undo.check();
  const datapath = datapathCaller(best.slice(0, best.indexOf(':')), environment);
  const disk = { uri: best, domain: '0' };
  const { implementations } = await datapath('Datapath.attach', disk);
  undo.push('Datapath.detach', () => datapath('Datapath.detach', disk));
  const device = implementations.find((implementation) => implementation[0] === 'BlockDevice');
  if (device?.[0] !== 'BlockDevice') throw new Error('the datapath offers no block device');
  await datapath('Datapath.activate', disk);
  undo.push('Datapath.deactivate', () => datapath('Datapath.deactivate', disk));
  line(`Datapath.attach, activate ${device[1].path}`);

  undo.check();
  const pattern = randomBytes(8 * 2 ** 20);
  const offset = 16 * 2 ** 20;
  write(device[1].path, pattern, offset);
  const fromDevice = read(device[1].path, pattern.length, offset);
  await datapath('Datapath.deactivate', disk);
  const fromImage = read(parseFileUri(best, 'raw+file').path, pattern.length, offset);
  for (const [where, bytes] of [
    ['block device', fromDevice],
    ['image, after deactivate', fromImage],
  ] as const) {
    if (!bytes.equals(pattern)) throw new Error(`the ${where} does not hold what was written`);
  }
  line(
    `written and read back     ${formatBytes(BigInt(pattern.length))}, sha256 ${sha256(fromDevice).slice(0, 16)}...`,
  );
}

function write(file: string, bytes: Uint8Array, offset: number): void {
  const fd = openSync(file, 'r+');
  try {
    if (writeSync(fd, bytes, 0, bytes.length, offset) !== bytes.length)
      throw new Error(`${file} took too little`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function read(file: string, length: number, offset: number): Buffer {
  const bytes = Buffer.alloc(length);
  const fd = openSync(file, 'r');
  try {
    return bytes.subarray(0, readSync(fd, bytes, 0, length, offset));
  } finally {
    closeSync(fd);
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
