import { growAttachedSr } from '../../volume/sr/grow.ts';
import { type Terminal, UsageError } from '../command.ts';

/** `gfs2-sr sr grow` */
export async function grow(args: readonly string[], { print }: Terminal): Promise<void> {
  const [uuid, ...others] = args;
  if (uuid === undefined || others.length > 0) throw new UsageError('one SR must be named by its uuid');
  const { lun, before, after } = await growAttachedSr(uuid);
  print(
    after > before
      ? `The SR has grown from ${before} to ${after} bytes, on a LUN of ${lun} bytes.`
      : `The SR has ${after} bytes and its LUN ${lun} bytes, as this host sees it: there is nothing to grow by.`,
  );
}
