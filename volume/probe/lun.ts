/** What one LUN says of itself, over one session. It is only asked and read, never written. */
import {
  type Capacity,
  IscsiError,
  type LunEntry,
  ScsiError,
  type Session,
  type StandardInquiry,
} from 'node-iscsi-initiator';
import { type ScsiIdentity, scsiIdentity } from '../iscsi/scsi-id.ts';
import { type Content, recogniseContent, regions } from './content.ts';
import { sentenceOf } from './failures.ts';

/** What a disk says of itself. */
export interface Disk {
  readonly capacity: Capacity;
  /** Undefined where it does not say. */
  readonly readOnly: boolean | undefined;
  /** Keys that hosts have registered for reservations, each once; undefined where it has none of that. */
  readonly registeredKeys: readonly string[] | undefined;
  readonly content: Content;
}

/** Bytes of a block with which Linux can mount a filesystem. */
export const blockSizes: readonly number[] = [512, 1024, 2048, 4096];

/** Bytes of a LUN that has room for a label and a superblock. */
export const leastSize = BigInt(
  Math.max(...Object.values(regions).map(([offset, length]) => offset + length)),
);

/** What is known of a LUN. */
export interface LunDescription {
  readonly entry: LunEntry & { readonly lun: number };
  /** Undefined only where not even INQUIRY was answered. */
  readonly inquiry?: StandardInquiry;
  readonly serial?: string;
  /** Undefined where no page of the LUN has anything to make an id of. */
  readonly identity?: ScsiIdentity;
  /** Undefined for what is no disk, for a disk that was not asked for, and with a problem. */
  readonly disk?: Disk;
  /** Why the LUN could not be read, as a sentence without a full stop. */
  readonly problem?: string;
  /** Whether that is because it did not answer in time. */
  readonly silent?: boolean;
}

/** Whether a logical unit is there (peripheral qualifier 0), and is a disk (device type 0). */
export function isDisk({ inquiry }: LunDescription): boolean {
  return inquiry?.peripheralQualifier === 0 && inquiry.deviceType === 0;
}

/**
 * Describes a LUN in three rounds of commands: who it is, how large, what it carries.
 *
 * @param wanted whether the disk with this identity is to be read; others are only named.
 * @returns a description with a `problem` where the LUN fails.
 */
export async function describeLun(
  session: Session,
  entry: LunDescription['entry'],
  wanted: (identity: ScsiIdentity | undefined) => boolean,
): Promise<LunDescription> {
  let description: LunDescription = { entry };
  try {
    const { lun } = entry;
    const [inquiry, page83, page80] = await Promise.all([
      session.inquiry(lun),
      optionalPage(session, lun, 0x83),
      optionalPage(session, lun, 0x80),
    ]);
    const identity = scsiIdentity(page83, page80, inquiry);
    const serial = page80 === undefined ? '' : text(page80.subarray(4));
    description = {
      entry,
      inquiry,
      ...(identity === undefined ? {} : { identity }),
      ...(serial === '' ? {} : { serial }),
    };
    if (!isDisk(description) || !wanted(identity)) return description;
    return { ...description, disk: await readDisk(session, lun) };
  } catch (error) {
    return { ...description, problem: sentenceOf(error), silent: isTimeout(error) };
  }
}

/** The SCSI id that a LUN has over this session, to compare it with what it had over another. */
export async function identify(session: Session, known: LunDescription): Promise<ScsiIdentity | undefined> {
  const { lun } = known.entry;
  const page83 = await optionalPage(session, lun, 0x83);
  const identity = scsiIdentity(page83, undefined, known.inquiry ?? { vendor: '', product: '' });
  if (identity !== undefined) return identity;
  return scsiIdentity(
    undefined,
    await optionalPage(session, lun, 0x80),
    known.inquiry ?? { vendor: '', product: '' },
  );
}

async function readDisk(session: Session, lun: number): Promise<Disk> {
  const [capacity, readOnly, registeredKeys] = await Promise.all([
    session.readCapacity(lun),
    session.isWriteProtected(lun).catch(() => undefined),
    session.registeredKeys(lun).then(
      ({ keys }) => [...new Set(keys)],
      () => undefined,
    ),
  ]);
  return { capacity, readOnly, registeredKeys, content: await readContent(session, lun, capacity) };
}

async function readContent(session: Session, lun: number, capacity: Capacity): Promise<Content> {
  const { blockSize, bytes } = capacity;
  if (bytes < leastSize || !blockSizes.includes(blockSize)) {
    return { kind: 'other', what: 'nothing that could be an SR' };
  }
  const read = ([offset, length]: readonly [number, number]): Promise<Uint8Array> =>
    session.read(lun, BigInt(offset / blockSize), length / blockSize, blockSize);
  const [start, label] = await Promise.all([read(regions.start), read(regions.label)]);
  return recogniseContent(start, label);
}

/** Whether there was no answer in time. */
export function isTimeout(error: unknown): boolean {
  return error instanceof IscsiError && error.kind === 'timeout';
}

/** A page that a LUN need not have. */
async function optionalPage(session: Session, lun: number, page: number): Promise<Uint8Array | undefined> {
  try {
    return await session.vitalProductData(lun, page);
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

/** Whether the LUN answered, and only has no such thing. */
function isRefusal(error: unknown): boolean {
  if (error instanceof ScsiError) return error.unsupported;
  return error instanceof IscsiError && error.kind === 'protocol' && error.step === 'command';
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('latin1')
    .replaceAll(/[^\x20-\x7e]/g, ' ')
    .trim();
}
