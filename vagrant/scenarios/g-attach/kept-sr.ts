/** An SR with data in it, by which one sees that it is the right one and whole. */
import { strict as assert } from 'node:assert';
import type { LunName } from '../../lab/target.ts';
import { readDigest, type Written, writeData } from '../support/data.ts';
import type { Host } from '../support/host.ts';
import { activate, attachSr, detachSr, type Sr } from '../support/sr.ts';
import { createVolume } from '../support/temporary-sr.ts';

export interface KeptSr {
  readonly sr: Sr;
  readonly lun: LunName;
  /** The key of its volume. */
  readonly key: string;
  readonly written: Written;
}

const mebibytes = 8;

/** Puts a volume with data into an SR that is attached nowhere, and leaves it so. */
export async function keepData(host: Host, sr: Sr, lun: LunName): Promise<KeptSr> {
  await attachSr([host], sr);
  const volume = await createVolume(host, sr, 'kept', mebibytes);
  const disk = await activate(host, volume);
  const written = await writeData(host, disk.device, mebibytes);
  await disk.deactivate();
  await detachSr([host], sr);
  return { sr, lun, key: volume.key, written };
}

/** Checks that a host lists the volume of an SR that it has attached. */
export async function expectListed(host: Host, { sr, key }: KeptSr): Promise<void> {
  const volumes = await host.call('SR.ls', { sr: sr.uuid });
  assert.deepEqual(
    volumes.map((volume) => volume.key),
    [key],
    `what ${host.name} lists`,
  );
}

/** Checks that a host reads from an SR that it has attached what was written. */
export async function expectData(host: Host, { sr, key, written }: KeptSr): Promise<void> {
  const disk = await activate(host, await host.call('Volume.stat', { sr: sr.uuid, key }));
  try {
    assert.equal(
      await readDigest(host, disk.device, written.mebibytes),
      written.sha256,
      `what ${host.name} reads`,
    );
  } finally {
    await disk.deactivate();
  }
}
