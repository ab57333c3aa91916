import { stopCluster } from '../../cluster/stop.ts';
import { readFlags, type Terminal } from '../command.ts';

/** `gfs2-sr cluster stop` */
export async function stop(args: readonly string[], { print }: Terminal): Promise<void> {
  readFlags(args, []);
  await stopCluster();
  print('The cluster is stopped on this host.');
}
