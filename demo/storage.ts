/** The array of the demo: a private tgtd with two targets, of which one wants CHAP and has an SR. */
import { closeSync, openSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { startTgtd, type Tgtd } from '../native/test/tgtd.ts';
import { run } from '../src/commands.ts';
import { encodeLabel, labelLength } from '../volume/layout/label.ts';

const MiB = 2n ** 20n;

/** What the demo needs to know of its array. */
export interface DemoArray {
  readonly tgtd: Tgtd;
  readonly openTarget: string;
  readonly chapTarget: string;
  readonly chap: { readonly user: string; readonly secret: string };
  readonly srUuid: string;
}

/** Starts the array; the LUN of its SR holds a real gfs2 filesystem and our label. */
export async function startArray(): Promise<DemoArray> {
  const tgtd = await startTgtd();
  try {
    const openTarget = 'iqn.2026-11.org.example:open';
    const chapTarget = 'iqn.2026-11.org.example:secret';
    const chap = { user: 'demo', secret: 'only-for-a-demo' };
    const srUuid = crypto.randomUUID();

    const open = await tgtd.addTarget(openTarget);
    await tgtd.addLun(open, { lun: 1, size: Number(64n * MiB), serial: 'DEMO0001', scsiId: 'demo-small' });
    await tgtd.addLun(open, { lun: 5, size: 2 ** 40, serial: 'DEMO0005', scsiId: 'demo-thin' });
    await tgtd.addLun(open, {
      lun: 300,
      size: Number(256n * MiB),
      serial: 'DEMO0300',
      scsiId: 'demo-ro',
      readOnly: true,
    });

    const secret = await tgtd.addTarget(chapTarget);
    await tgtd.addChap(secret, chap.user, chap.secret);
    const scsiId = 'demo-gfs2';
    const image = join(tgtd.directory, 'gfs2');
    closeSync(openSync(image, 'w'));
    truncateSync(image, Number(512n * MiB));
    await makeSr(image, srUuid, scsiId);
    await tgtd.addLun(secret, { lun: 0x21, path: image, serial: 'DEMO0033', scsiId });
    await tgtd.addLun(secret, {
      lun: 7,
      size: Number(128n * MiB),
      blockSize: 4096,
      serial: 'DEMO0007',
      scsiId: 'demo-4k',
    });
    return { tgtd, openTarget, chapTarget, chap, srUuid };
  } catch (error) {
    await tgtd.stop();
    throw error;
  }
}

async function makeSr(image: string, uuid: string, scsiId: string): Promise<void> {
  await run('mkfs.gfs2', [
    '-O',
    '-q',
    '-p',
    'lock_dlm',
    '-t',
    'demo:sr1',
    '-j',
    '2',
    '-J',
    '32',
    '-U',
    uuid,
    image,
  ]);
  const write = encodeLabel(new Uint8Array(labelLength), {
    uuid,
    name: 'Demo SR',
    description: 'Made by another host of the pool',
    clusterName: 'demo',
    // tgt forms a T10 designator of vendor and id.
    scsiId: `1IET_${scsiId}`,
    totalSpace: 512n * MiB,
    freeSpace: 440n * MiB,
  });
  const fd = openSync(image, 'r+');
  try {
    writeSync(fd, write.bytes, 0, write.bytes.length, write.offset);
  } finally {
    closeSync(fd);
  }
}
