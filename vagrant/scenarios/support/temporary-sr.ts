/** An SR that a scenario has for itself. */
import type { LunName } from '../../lab/target.ts';
import type { Stage } from '../scenario.ts';
import type { Host } from './host.ts';
import type { Volume } from './smapi.ts';
import { createSr, detachSr, type Sr } from './sr.ts';

/**
 * Has an SR made by a host, attached nowhere. It is destroyed when the scenario ends, wherever it is attached then;
 * nothing is left of it on any host.
 */
export async function temporarySr(
  { target, hosts, afterwards }: Pick<Stage, 'target' | 'hosts' | 'afterwards'>,
  maker: Host,
  lun: LunName,
  name: string,
): Promise<Sr> {
  const sr = await createSr(maker, target, lun, name);
  afterwards(() => removeSr(hosts, maker, sr));
  return sr;
}

/** Detaches an SR from all hosts, and has one destroy it. */
export async function removeSr(hosts: readonly Host[], by: Host, sr: Sr): Promise<void> {
  await detachSr(
    hosts.filter((host) => host !== by),
    sr,
  );
  await by.call('SR.attach', { configuration: sr.configuration });
  await by.call('SR.destroy', { sr: sr.uuid });
}

/** Makes a volume of some mebibytes. */
export async function createVolume(
  host: Host,
  { uuid }: Sr,
  name: string,
  mebibytes: number,
): Promise<Volume> {
  return await host.call('Volume.create', {
    sr: uuid,
    name,
    description: '',
    size: BigInt(mebibytes) * 1_048_576n,
    sharable: false,
  });
}
