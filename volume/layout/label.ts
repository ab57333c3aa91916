/**
 * The label of an SR: who it is, readable without mounting it and while another host has it mounted.
 * Its format, and why it is safe to update, is in docs/label.md.
 */
import { createHash } from 'node:crypto';
import { PluginError } from '../../src/smapi/errors.ts';

/** Where the label's two slots begin, in bytes from the start of the LUN: just before the superblock. */
export const labelOffset = 57344;
/** Bytes of one slot; a whole number of blocks of 512 or of 4096 bytes. */
export const slotLength = 4096;
/** Bytes of both slots. */
export const labelLength = 2 * slotLength;

const magic = 'GFS2-SR\n';
const formatVersion = 1;
const headerLength = 64;
const maxPayload = slotLength - headerLength;
/** Bytes of UTF-8 that are kept of each text; longer ones are cut at a character. */
const limits = { name: 255, description: 1023, clusterName: 64, scsiId: 255 } as const;

/**
 * What an SR is in the midst of: SR.create has claimed the LUN, and there is no SR yet; or SR.destroy takes
 * it apart, and there is none any more.
 */
export type LabelPhase = 'creating' | 'destroying';

/** What a label says. */
export interface Label {
  /** The SR, and the UUID of its filesystem. */
  readonly uuid: string;
  /** The SR's name; the authoritative one is in the SR itself. At most 255 bytes of UTF-8. */
  readonly name: string;
  /** The SR's description. At most 1023 bytes of UTF-8. */
  readonly description: string;
  /** The cluster that the SR belongs to. */
  readonly clusterName: string;
  /** The LUN that the SR was made on, or was last adopted on: any other that has this label is a copy. */
  readonly scsiId: string;
  /** Sizes when an attached host last wrote them, in bytes. */
  readonly totalSpace: bigint;
  readonly freeSpace: bigint;
  /** Absent for a finished SR. */
  readonly state?: LabelPhase;
  /** A text of the call that has claimed the LUN, by which it knows its claim again. */
  readonly claim?: string;
  /**
   * The hosts that have attached the SR: by their number in the cluster (decimal), a digest of their
   * initiator names.
   */
  readonly hosts?: Readonly<Record<string, string>>;
}

/** What was found where a label could be. */
export type LabelState =
  /** Nothing of a label. */
  | { readonly kind: 'none' }
  | { readonly kind: 'label'; readonly label: Label; readonly generation: bigint }
  /** A label of a format that this version cannot read. */
  | { readonly kind: 'newer'; readonly version: number }
  /** Something that was a label, of which no slot is whole. */
  | { readonly kind: 'damaged' };

/** A write that puts a label in place. */
export interface LabelWrite {
  /** Bytes from the start of the LUN. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

type Slot =
  | { readonly kind: 'none' | 'damaged' }
  | { readonly kind: 'newer'; readonly version: number }
  | {
      readonly kind: 'label';
      readonly label: Label;
      readonly generation: bigint;
      readonly payload: Readonly<Record<string, unknown>>;
    };

/**
 * Reads the label.
 *
 * @param area the bytes from {@link labelOffset} on, {@link labelLength} of them.
 */
export function decodeLabel(area: Uint8Array): LabelState {
  const slots = decodeSlots(area);
  // The other slot may still hold what an older version wrote before.
  const newer = slots.find((slot) => slot.kind === 'newer');
  if (newer !== undefined) return newer;
  const newest = newestOf(slots);
  if (newest !== undefined) return { kind: 'label', label: newest.label, generation: newest.generation };
  return slots.some(({ kind }) => kind === 'damaged') ? { kind: 'damaged' } : { kind: 'none' };
}

/**
 * Forms the one write that replaces the label. It goes to the slot that does not hold the valid label,
 * so whatever happens in the midst of it, one slot stays whole. Fields that a later minor version added
 * are kept.
 *
 * @param area what is there now, as for {@link decodeLabel}.
 * @throws PluginError `LabelTooNew` where the label there is of a later format.
 */
export function encodeLabel(area: Uint8Array, label: Label): LabelWrite {
  const slots = decodeSlots(area);
  const newer = slots.find((slot) => slot.kind === 'newer');
  if (newer?.kind === 'newer') {
    throw new PluginError(
      'LabelTooNew',
      `The label of this SR has format ${newer.version}, and this version of the plugin writes ${formatVersion}; update the plugin on this host.`,
    );
  }
  const newest = newestOf(slots);
  const generation = (newest?.generation ?? 0n) + 1n;
  const target = newest !== undefined && slots[0] === newest ? 1 : 0;
  return {
    offset: labelOffset + target * slotLength,
    bytes: encodeSlot(label, generation, newest?.payload ?? {}),
  };
}

function decodeSlots(area: Uint8Array): readonly Slot[] {
  return [0, 1].map((index) => decodeSlot(area.subarray(index * slotLength, (index + 1) * slotLength)));
}

function newestOf(slots: readonly Slot[]): (Slot & { kind: 'label' }) | undefined {
  return slots
    .filter((slot) => slot.kind === 'label')
    .reduce<(Slot & { kind: 'label' }) | undefined>(
      (best, slot) => (best === undefined || slot.generation > best.generation ? slot : best),
      undefined,
    );
}

function decodeSlot(slot: Uint8Array): Slot {
  const bytes = Buffer.from(slot.buffer, slot.byteOffset, slot.byteLength);
  if (bytes.length < slotLength || bytes.toString('latin1', 0, 8) !== magic) return { kind: 'none' };
  if (!digestOf(bytes).equals(bytes.subarray(32, 64))) return { kind: 'damaged' };
  const version = bytes.readUInt32BE(8);
  if (version !== formatVersion) return { kind: 'newer', version };
  const length = bytes.readUInt32BE(12);
  if (length > maxPayload) return { kind: 'damaged' };
  try {
    const payload: unknown = JSON.parse(bytes.toString('utf8', headerLength, headerLength + length));
    const label = toLabel(payload);
    return label === undefined
      ? { kind: 'damaged' }
      : {
          kind: 'label',
          label,
          generation: bytes.readBigUInt64BE(16),
          payload: payload as Readonly<Record<string, unknown>>,
        };
  } catch {
    return { kind: 'damaged' };
  }
}

function encodeSlot(
  label: Label,
  generation: bigint,
  previous: Readonly<Record<string, unknown>>,
): Uint8Array {
  const bytes = Buffer.alloc(slotLength);
  const payload = encodePayload(label, previous);
  bytes.write(magic, 0, 'latin1');
  bytes.writeUInt32BE(formatVersion, 8);
  bytes.writeUInt32BE(payload.length, 12);
  bytes.writeBigUInt64BE(generation, 16);
  payload.copy(bytes, headerLength);
  digestOf(bytes).copy(bytes, 32);
  return bytes;
}

function encodePayload(label: Label, previous: Readonly<Record<string, unknown>>): Buffer {
  const fields = {
    uuid: label.uuid,
    name: bounded(label.name, limits.name),
    description: bounded(label.description, limits.description),
    cluster_name: bounded(label.clusterName, limits.clusterName),
    scsi_id: bounded(label.scsiId, limits.scsiId),
    total_space: label.totalSpace.toString(),
    free_space: label.freeSpace.toString(),
    // Undefined: takes what was there away.
    state: label.state,
    claim: label.claim,
    hosts: label.hosts,
  };
  const payload = Buffer.from(JSON.stringify({ ...previous, ...fields }));
  return payload.length <= maxPayload ? payload : Buffer.from(JSON.stringify(fields));
}

/** SHA-256 of the slot with the digest's own place as zeros. */
function digestOf(slot: Buffer): Buffer {
  return createHash('sha256')
    .update(slot.subarray(0, 32))
    .update(new Uint8Array(32))
    .update(slot.subarray(headerLength))
    .digest();
}

/** At most `limit` bytes of UTF-8, whole characters only, and no control character that JSON would blow up. */
function bounded(text: string, limit: number): string {
  const clean = text.toWellFormed().replaceAll(/(?![\n\t])\p{Cc}/gu, ' ');
  let length = 0;
  let end = 0;
  for (const character of clean) {
    length += Buffer.byteLength(character);
    if (length > limit) return clean.slice(0, end);
    end += character.length;
  }
  return clean;
}

function toLabel(payload: unknown): Label | undefined {
  if (typeof payload !== 'object' || payload === null) return undefined;
  const fields = payload as Readonly<Record<string, unknown>>;
  const text = (key: string): string | undefined => {
    const value = fields[key];
    return typeof value === 'string' ? value : undefined;
  };
  const bytes = (key: string): bigint | undefined => {
    const value = text(key);
    if (value === undefined || !/^[0-9]{1,19}$/.test(value)) return undefined;
    // One that the interface's int64 does not hold would fail the probe for all LUNs.
    return BigInt.asIntN(64, BigInt(value)) < 0n ? undefined : BigInt(value);
  };
  const required = {
    uuid: text('uuid'),
    name: text('name'),
    description: text('description'),
    clusterName: text('cluster_name'),
    scsiId: text('scsi_id'),
    totalSpace: bytes('total_space'),
    freeSpace: bytes('free_space'),
  };
  if (Object.values(required).includes(undefined)) return undefined;
  const state = text('state');
  // A phase of a later version: nobody can say what there is.
  if (state !== undefined && state !== 'creating' && state !== 'destroying') return undefined;
  const claim = text('claim');
  const hosts = toHosts(fields.hosts);
  return {
    ...(required as Label),
    ...(state === undefined ? {} : { state }),
    ...(claim === undefined ? {} : { claim }),
    ...(hosts === undefined ? {} : { hosts }),
  };
}

function toHosts(value: unknown): Label['hosts'] {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}
