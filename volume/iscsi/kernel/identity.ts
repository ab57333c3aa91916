/** Who a disk is: as the kernel remembers it, and as it answers when it is asked. */
import { type InquiryStrings, scsiIdentity } from '../scsi-id.ts';
import { run } from './host-command.ts';
import { type Disk, readDiskPage, readDiskStrings } from './sysfs.ts';

/** Milliseconds for one command to a disk. */
const timeout = 10_000;

/** The SCSI id of a disk when the kernel last looked, which may have been another LUN's. */
export function rememberedId(disk: Disk): string | undefined {
  const strings = readDiskStrings(disk);
  const identity = scsiIdentity(readDiskPage(disk, '83'), undefined, strings);
  return (identity ?? scsiIdentity(undefined, readDiskPage(disk, '80'), strings))?.id;
}

/**
 * The SCSI id that a disk gives when it is asked.
 *
 * @param device such as `/dev/sdb`.
 * @returns undefined where it has none.
 * @throws CommandError where it does not answer.
 */
export async function askId(device: string): Promise<string | undefined> {
  const [inquiry, page83] = await Promise.all([
    ask(device, []),
    ask(device, ['--page=0x83']).catch(() => undefined),
  ]);
  const strings = inquiryStrings(inquiry);
  const identity = scsiIdentity(page83, undefined, strings);
  if (identity !== undefined) return identity.id;
  const page80 = await ask(device, ['--page=0x80']).catch(() => undefined);
  return scsiIdentity(undefined, page80, strings)?.id;
}

/** The strings of standard INQUIRY data (SPC-4 6.6.2). */
function inquiryStrings(data: Uint8Array): InquiryStrings {
  const text = (from: number, to: number): string => Buffer.from(data.subarray(from, to)).toString('latin1');
  return { vendor: text(8, 16), product: text(16, 32) };
}

async function ask(device: string, args: readonly string[]): Promise<Uint8Array> {
  const { stdout } = await run('sg_inq', ['--raw', ...args, device], { timeout, encoding: 'hex' });
  return Buffer.from(stdout, 'hex');
}
