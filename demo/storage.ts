/** The array of the demo: a private tgtd with two targets, of which one wants CHAP and has an SR. */
import { closeSync, openSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { startTgtd, type Tgtd } from '../native/test/tgtd.ts';
import { run } from '../src/commands.ts';
import { encodeLabel, labelLength } from '../volume/layout/label.ts';

const MiB = 2 ** 20;

/** The serial number of the LUN with the SR. */
export const srSerial = 'DEMO0033';

/** What the demo needs to know of its array. */
export interface DemoArray {
  readonly tgtd: Tgtd;
  readonly openTarget: string;
  readonly chapTarget: string;
  readonly chap: { readonly user: string; readonly secret: string };
  readonly srUuid: string;
  /** The file behind the SR's LUN. */
  readonly srImage: string;
}

/** Starts the array with its files in a folder, and with real gfs2 on the LUN with serial number {@link srSerial}. */
export async function startArray(folder: string): Promise<DemoArray> {
  const tgtd = await startTgtd('127.0.0.1', folder);
  try {
    const openTarget = 'iqn.2026-11.org.example:open';
    const chapTarget = 'iqn.2026-11.org.example:secret';
    const chap = { user: 'demo', secret: 'only-for-a-demo' };
    const srUuid = crypto.randomUUID();

    const open = await tgtd.addTarget(openTarget);
    await tgtd.addLun(open, { lun: 1, size: 64 * MiB, serial: 'DEMO0001' });
    await tgtd.addLun(open, { lun: 5, size: 1024 * 1024 * MiB, serial: 'DEMO0005' });
    await tgtd.addLun(open, { lun: 300, size: 1024 * MiB, serial: 'DEMO0300', readOnly: true });

    const secret = await tgtd.addTarget(chapTarget);
    await tgtd.addChap(secret, chap.user, chap.secret);
    const srImage = join(tgtd.directory, 'gfs2');
    writeFileSync(srImage, '');
    truncateSync(srImage, 512 * MiB);
    const lockTable = ['-p', 'lock_dlm', '-t', 'demo:sr1', '-j', '2', '-J', '8'];
    await run('mkfs.gfs2', ['-O', '-q', ...lockTable, '-U', srUuid, srImage]);
    await tgtd.addLun(secret, { lun: 33, path: srImage, serial: srSerial });
    await tgtd.addLun(secret, { lun: 7, size: 768 * MiB, blockSize: 4096, serial: 'DEMO0007' });
    return { tgtd, openTarget, chapTarget, chap, srUuid, srImage };
  } catch (error) {
    await tgtd.stop();
    throw error;
  }
}

/** Labels the SR's LUN, as the host that made the SR would have done. */
export function labelSr({ srImage, srUuid }: DemoArray, scsiId: string): void {
  const { offset, bytes } = encodeLabel(new Uint8Array(labelLength), {
    uuid: srUuid,
    name: 'Demo SR',
    description: 'Made by another host of the pool',
    clusterName: 'demo',
    scsiId,
    totalSpace: BigInt(512 * MiB),
    freeSpace: BigInt(440 * MiB),
  });
  const fd = openSync(srImage, 'r+');
  try {
    writeSync(fd, bytes, 0, bytes.length, offset);
  } finally {
    closeSync(fd);
  }
}
