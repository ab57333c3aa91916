import { startCluster } from '../../cluster/start.ts';
import { readFlags, type Terminal } from '../command.ts';

/** `gfs2-sr cluster start` */
export async function start(args: readonly string[], { print }: Terminal): Promise<void> {
  readFlags(args, []);
  const { waitsFor } = await startCluster();
  print(
    waitsFor === undefined ? 'The cluster runs on this host.' : `The cluster is started here. ${waitsFor}`,
  );
}
