import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decodeLabel, encodeLabel, type Label, labelLength, labelOffset, slotLength } from './label.ts';

const label: Label = {
  uuid: '3e6bd05e-7d3a-4f18-8b93-5f1f4bb04a2e',
  name: 'Größe "β" \\ 大',
  description: 'two\nlines',
  clusterName: 'pool-a',
  scsiId: '360014055f9d3a6c1b4e4bd3a0f7d1c2e',
  totalSpace: 9_007_199_254_740_993n,
  freeSpace: 0n,
};

/** The label area after `label` was written over `area`. */
function written(area: Uint8Array, next: Label): Uint8Array {
  const { offset, bytes } = encodeLabel(area, next);
  const result = area.slice();
  result.set(bytes, offset - labelOffset);
  return result;
}

const blank = new Uint8Array(labelLength);

describe('a label', () => {
  it('comes back as it was written', () => {
    expect(decodeLabel(written(blank, label))).toEqual({ kind: 'label', label, generation: 1n });
  });

  it('is the last of many writes', () => {
    let area: Uint8Array = blank;
    for (let round = 0; round < 5; round += 1) area = written(area, { ...label, name: `name ${round}` });
    expect(decodeLabel(area)).toMatchObject({ label: { name: 'name 4' }, generation: 5n });
  });

  it('is the old or the new one wherever a write of it is cut', () => {
    for (const start of [written(blank, label), written(written(blank, label), label)]) {
      const { offset, bytes } = encodeLabel(start, { ...label, name: 'new' });
      for (let cut = 0; cut < bytes.length; cut += 1) {
        const torn = start.slice();
        torn.set(bytes.subarray(0, cut), offset - labelOffset);
        const state = decodeLabel(torn);
        if (state.kind !== 'label') throw new Error(`cut at ${cut}: ${state.kind}`);
        // The last bytes of a slot are zeros, so a cut among them may have written all that matters.
        expect([label.name, 'new'], `cut at ${cut}`).toContain(state.label.name);
      }
    }
  });

  it('says what its SR is in the midst of, and no longer once that is over', () => {
    const hosts = { 1: '0123456789abcdef', 12: 'fedcba9876543210' };
    const claimed: Label = { ...label, state: 'creating', claim: 'host/1', hosts };
    const area = written(blank, claimed);
    expect(decodeLabel(area)).toMatchObject({ label: claimed });
    expect(decodeLabel(written(area, label))).toEqual({ kind: 'label', label, generation: 2n });
  });

  it('keeps the hosts of all sixteen journals beside texts of full length', () => {
    const hosts = Object.fromEntries(
      Array.from({ length: 16 }, (_, id) => [id + 65_000, '0123456789abcdef']),
    );
    const full = { ...label, name: 'n'.repeat(255), description: 'd'.repeat(1023), hosts };
    expect(decodeLabel(written(blank, full))).toMatchObject({ label: { hosts } });
  });

  it('is not there on a blank LUN, and is damaged where both slots are', () => {
    expect(decodeLabel(blank)).toEqual({ kind: 'none' });
    const area = written(blank, label);
    area.fill(0x55, 2000, 2001);
    expect(decodeLabel(area)).toEqual({ kind: 'damaged' });
  });

  it('is damaged with a size that no answer can hold', () => {
    const most = { ...label, totalSpace: 2n ** 63n - 1n };
    expect(decodeLabel(written(blank, most))).toMatchObject({ label: most });
    expect(decodeLabel(written(blank, { ...label, totalSpace: 2n ** 63n }))).toEqual({ kind: 'damaged' });
  });

  it('can replace a damaged one', () => {
    const area = written(blank, label);
    area.fill(0x55, 2000, 2001);
    expect(decodeLabel(written(area, label))).toMatchObject({ kind: 'label', label });
  });

  it('fits however long the names are, and is cut at a character', () => {
    const state = decodeLabel(
      written(blank, {
        ...label,
        name: `${'"'.repeat(254)}é`,
        description: `${'\\\n'.repeat(5000)}`,
        clusterName: '\u0001'.repeat(100),
      }),
    );
    expect(state).toMatchObject({ label: { name: '"'.repeat(254), description: `${'\\\n'.repeat(511)}\\` } });
  });

  it('keeps fields that it does not know', () => {
    const area = editPayload(written(blank, label), (payload) => ({ ...payload, colour: 'blue' }));
    const updated = written(area, { ...label, name: 'other' });
    expect(payloadOf(updated.subarray(slotLength))).toMatchObject({ colour: 'blue', name: 'other' });
  });

  it('of a later format is neither read nor overwritten', () => {
    const area = editPayload(written(blank, label), (payload) => payload, 2);
    expect(decodeLabel(area)).toEqual({ kind: 'newer', version: 2 });
    expect(() => encodeLabel(area, label)).toThrow(/format 2.*update the plugin/);
  });

  it('takes whole blocks of 512 and of 4096 bytes, and nothing of the superblock', () => {
    const { offset, bytes } = encodeLabel(written(blank, label), label);
    expect([offset % 4096, bytes.length % 4096]).toEqual([0, 0]);
    expect(offset + bytes.length).toBeLessThanOrEqual(65536);
  });
});

function payloadOf(slot: Uint8Array): Record<string, unknown> {
  const bytes = Buffer.from(slot);
  return JSON.parse(bytes.toString('utf8', 64, 64 + bytes.readUInt32BE(12))) as Record<string, unknown>;
}

/** Changes the first slot as a later version might, following docs/label.md. */
function editPayload(
  area: Uint8Array,
  edit: (payload: Record<string, unknown>) => Record<string, unknown>,
  version = 1,
): Uint8Array {
  const slot = Buffer.alloc(slotLength);
  slot.set(area.subarray(0, 64));
  const payload = Buffer.from(JSON.stringify(edit(payloadOf(area))));
  slot.writeUInt32BE(version, 8);
  slot.writeUInt32BE(payload.length, 12);
  payload.copy(slot, 64);
  slot.fill(0, 32, 64);
  createHash('sha256').update(slot).digest().copy(slot, 32);
  const result = area.slice();
  result.set(slot);
  return result;
}
