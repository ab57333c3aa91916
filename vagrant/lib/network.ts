/** Faults on one network card of one machine, made where its tap device is. */
import type { Interface, Virsh } from './domain.ts';
import { mustRunOnHost } from './host-command.ts';

/** How a network is cut. */
export interface CutOptions {
  /** `lost`: the machine sees its cable unplugged; `kept`: packets vanish and it sees nothing. */
  readonly carrier: 'lost' | 'kept';
}

/** Which packets are dropped: those that the machine sends, or those that are sent to it. */
export type Direction = 'from-machine' | 'to-machine';

/** The nftables commands that drop the packets of one direction on a tap device. */
export function dropRules(device: string, direction: Direction): string {
  // What a machine sends comes in at its tap device.
  const hook = direction === 'from-machine' ? 'ingress' : 'egress';
  const table = tableOf(device, direction);
  return (
    `add table netdev ${table}\n` +
    `add chain netdev ${table} packets { type filter hook ${hook} device "${device}" priority 0; policy drop; }\n`
  );
}

/** The nftables commands that end {@link dropRules}, also when there are none. */
export function healRules(device: string): string {
  return (['from-machine', 'to-machine'] as const)
    .map((direction) => tableOf(device, direction))
    .map((table) => `add table netdev ${table}\ndelete table netdev ${table}\n`)
    .join('');
}

function tableOf(device: string, direction: Direction): string {
  return `drop_${direction === 'from-machine' ? 'from' : 'to'}_${device.replaceAll(/\W/g, '_')}`;
}

/** Makes and ends the faults of one card. */
export class NetworkFaults {
  readonly #domain: string;
  readonly #card: Interface;
  readonly #virsh: Virsh;
  readonly #namespace: string | undefined;

  constructor(domain: string, card: Interface, virsh: Virsh, namespace: string | undefined) {
    this.#domain = domain;
    this.#card = card;
    this.#virsh = virsh;
    this.#namespace = namespace;
  }

  async cut({ carrier }: CutOptions): Promise<void> {
    if (carrier === 'lost') {
      await this.#setLink('down');
      return;
    }
    // Not by setting the tap device down: QEMU can wait for ever then to write to it, also when it is up again,
    // and the machine's card sends nothing any more.
    await this.drop('from-machine');
    await this.drop('to-machine');
  }

  async drop(direction: Direction): Promise<void> {
    await this.#tool('nft', ['-f', '-'], dropRules(this.#card.device, direction));
  }

  async heal(): Promise<void> {
    await this.#tool('nft', ['-f', '-'], healRules(this.#card.device));
    await this.#setLink('up');
  }

  #setLink(state: 'up' | 'down'): Promise<string> {
    return this.#virsh.run(['domif-setlink', this.#domain, this.#card.mac, state]);
  }

  #tool(command: string, args: readonly string[], input?: string): Promise<string> {
    return mustRunOnHost(this.#namespace, command, args, { timeout: 10_000, input });
  }
}
