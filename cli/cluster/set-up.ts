import { parseClusterConfiguration } from '../../cluster/configuration.ts';
import { setUpCluster } from '../../cluster/set-up.ts';
import { readFlags, type Terminal, UsageError } from '../command.ts';

/** `gfs2-sr cluster set-up` */
export async function setUp(args: readonly string[], { print, note, readInput }: Terminal): Promise<void> {
  readFlags(args, []);
  const input = await readInput();
  if (input.trim() === '') throw new UsageError('there is no configuration on standard input');
  const { node, written, restartNeeded, unfenced } = await setUpCluster(parseClusterConfiguration(input));
  for (const path of written) note(`wrote ${path}`);
  if (unfenced.length > 0) {
    note(`no fencing device fences ${unfenced.join(', ')}: no SR can be attached until one does`);
  }
  if (restartNeeded) {
    note('the cluster runs here as it was before; run gfs2-sr cluster stop and start for it to change');
  }
  print(
    written.length === 0
      ? `This host is set up as ${node.name} (node ${node.id}) already.`
      : `This host is set up as ${node.name} (node ${node.id}).`,
  );
}
