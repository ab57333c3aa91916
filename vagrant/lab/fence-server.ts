/**
 * `node vagrant/lab/fence-server.ts`: the power switch of the lab, for the agent fence_lab on the hosts. It runs
 * in the lab's network namespace and ends with it.
 *
 * A request is one line, `TOKEN ACTION MACHINE`, and so is the answer: `ok TEXT`, `off` (of status), `failed
 * WHY`. Nothing is "ok" that has not been seen: a machine is fenced when libvirt says that it is off.
 */
import { timingSafeEqual } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import type { Machine } from '../lib/index.ts';
import { type FenceEvent, fenceAddress } from './fence.ts';
import { openLab } from './lab.ts';
import { place } from './place.ts';
import { machineNames } from './topology.ts';

const token = Buffer.from(readFileSync(place.fenceToken, 'utf8').trim());
const vagrant = openLab({ onProgress: () => {} });

/** Answers one request, and keeps what was asked and done. */
async function answer(line: string, from: string): Promise<string> {
  const [given = '', action = '', machine = ''] = line.trim().split(' ');
  const bytes = Buffer.from(given);
  const isKnown = bytes.length === token.length && timingSafeEqual(bytes, token);
  const text = isKnown ? await act(action, machine) : 'failed a wrong token';
  const event: FenceEvent = { time: new Date().toISOString(), from, action, machine, answer: text };
  appendFileSync(place.fenceLog, `${JSON.stringify(event)}\n`);
  return text;
}

async function act(action: string, name: string): Promise<string> {
  if (action === 'monitor') return 'ok';
  if (action === 'list') return `ok ${machineNames.join(' ')}`;
  if (!machineNames.includes(name)) return `failed there is no machine ${name} in the lab`;
  const machine = vagrant.machine(name);
  try {
    if (action === 'off') return await cutPower(machine);
    if (action === 'status') return (await machine.hasPower()) ? 'ok on' : 'off';
    return `failed there is no action ${action}`;
  } catch (error) {
    return `failed ${error instanceof Error ? error.message.replaceAll('\n', ' ') : String(error)}`;
  }
}

async function cutPower(machine: Machine): Promise<string> {
  if (await machine.hasPower()) await machine.powerCut();
  return (await machine.hasPower()) ? `failed ${machine.name} still has power` : `ok ${machine.name} is off`;
}

createServer((socket) => {
  socket.on('error', () => {});
  socket.setTimeout(90_000, () => socket.destroy());
  createInterface({ input: socket }).once('line', (line) => {
    void answer(line, socket.remoteAddress ?? '').then((text) => socket.end(`${text}\n`));
  });
}).listen(fenceAddress.port, fenceAddress.host, () => process.stdout.write('listening\n'));
