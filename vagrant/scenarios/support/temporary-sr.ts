/** An SR that a scenario has for itself. */
import type { LunName } from '../../lab/target.ts';
import type { Stage } from '../scenario.ts';
import type { Host } from './host.ts';
import type { Volume } from './smapi.ts';
import { createSr, detachSr, type ImageFormat, type Sr } from './sr.ts';

/**
 * Has an SR made by a host, attached nowhere. It is destroyed when the scenario ends, wherever it is attached then;
 * nothing is left of it on any host.
 */
export async function temporarySr(
  { target, hosts, step, afterwards }: Pick<Stage, 'target' | 'hosts' | 'step' | 'afterwards'>,
  maker: Host,
  lun: LunName,
  name: string,
  format?: ImageFormat,
): Promise<Sr> {
  const made: Sr[] = [];
  await step(`SR.create on ${maker.name}`, async () => {
    const sr = await createSr(maker, target, lun, name, format);
    made.push(sr);
    afterwards(() => removeSr(hosts, maker, sr));
    return `${sr.uuid} on LUN ${lun.number}`;
  });
  return made[0] as Sr;
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
