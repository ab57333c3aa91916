/** A qcow2 disk that goes from host to host. */
import { strict as assert } from 'node:assert';
import type { Stage } from '../scenario.ts';
import { readDigest, writeData } from '../support/data.ts';
import { activate, type Sr } from '../support/sr.ts';
import { createVolume } from '../support/temporary-sr.ts';

const mebibytes = 8;

export async function handOver({ host, step }: Stage, sr: Sr): Promise<void> {
  const [first, second] = [host(1), host(2)];
  await step(`a disk on ${first.name}, and then on ${second.name}`, async () => {
    const volume = await createVolume(first, sr, 'handed over', 64);
    assert.match(volume.uri[0] ?? '', /^qcow2\+file:/);
    const disk = await activate(first, volume);
    const { sha256 } = await writeData(first, disk.device, mebibytes);
    const refused = await second.refusal(
      'Datapath.activate',
      { uri: volume.uri[0] ?? '', domain: 'u0_lab' },
      { scheme: 'qcow2+file' },
    );
    assert.equal(refused.params[0], 'Activated_on_another_host', refused.message);
    await disk.deactivate();
    const there = await activate(second, volume);
    assert.equal(await readDigest(second, there.device, mebibytes), sha256);
    await there.deactivate();
    await first.call('Volume.destroy', { sr: sr.uuid, key: volume.key });
    return `${disk.device} and ${there.device} with the same data; on both at once refused: ${refused.sentence}`;
  });
}
