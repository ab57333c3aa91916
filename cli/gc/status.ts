import { describeGarbage } from '../../volume/gc/status.ts';
import { readFlags, type Terminal } from '../command.ts';

/** `gfs2-sr gc status` */
export async function status(args: readonly string[], { print }: Terminal): Promise<void> {
  readFlags(args, []);
  for (const line of await describeGarbage()) print(line);
}
