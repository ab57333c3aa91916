/** The filesystem of a new SR. */
import { PluginError } from '../../../src/smapi/errors.ts';
import { journalCount, journalSize } from '../../layout/journals.ts';
import { writeDevice } from './device-io.ts';
import { loadCommands } from './parts.ts';

/** Milliseconds. Every block of every journal is written. */
const mkfsTimeout = 900_000;
const discardTimeout = 120_000;

/** Up to where the label and the superblock lie, and a bit more: a discard leaves this alone. */
const headLength = 1_048_576;
/** Where formats keep copies of what they have at the start: GPT, MD RAID. */
const tailLength = 262_144;

/**
 * Takes away what tells other programs what was on a device: before the label, and at the end.
 *
 * @param size of the device, in bytes.
 * @param before bytes at the start that may go.
 */
export async function clearTraces(device: string, size: bigint, before: number): Promise<void> {
  await writeDevice(device, 0, new Uint8Array(before));
  const end = Number((size / 4096n) * 4096n);
  await writeDevice(device, end - tailLength, new Uint8Array(tailLength));
}

/** Gives the array back what it keeps of the old content; not every array can. */
export async function discard(device: string): Promise<void> {
  const { run } = await loadCommands();
  await run('blkdiscard', ['-o', String(headLength), device], { timeout: discardTimeout }).catch(() => {});
}

/**
 * Makes a gfs2 for the hosts to come. Its last write, of one piece, clears the first 64 KiB and puts the
 * superblock behind them (seen with gfs2-utils 3.5): the label is there up to then, and gone after it.
 *
 * @param size of the device, in bytes.
 * @throws PluginError `MkfsFailed`.
 */
export async function makeFilesystem(
  device: string,
  { lockTable, uuid, size }: { readonly lockTable: string; readonly uuid: string; readonly size: bigint },
): Promise<void> {
  const { run } = await loadCommands();
  const args = [
    ...['-K', '-O', '-q', '-p', 'lock_dlm', '-t', lockTable, '-U', uuid],
    ...['-j', String(journalCount), '-J', String(journalSize(size)), device],
  ];
  try {
    // Where there is a setpriv, mkfs.gfs2 dies with us, and writes nothing under a call that comes after.
    const { exitCode } = await run('setpriv', ['--pdeathsig', 'KILL', 'true'], {
      expect: [0, 1, 2, 127],
    }).catch(() => ({ exitCode: 127 }));
    await (exitCode === 0
      ? run('setpriv', ['--pdeathsig', 'KILL', 'mkfs.gfs2', ...args], { timeout: mkfsTimeout })
      : run('mkfs.gfs2', args, { timeout: mkfsTimeout }));
  } catch (error) {
    throw new PluginError(
      'MkfsFailed',
      `No filesystem could be made on ${device}: ${(error as Error).message.replace(/\.$/, '')}; see the kernel's log, and that gfs2-utils is installed.`,
      { cause: error },
    );
  }
}
