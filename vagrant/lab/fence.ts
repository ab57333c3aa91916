/** Power fencing through the lab: its server, started, and what it did. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { InfrastructureError } from '../lib/index.ts';
import { labDirectory, place } from './place.ts';

/** Where the fence server listens: the lab's own address on the management network. */
export const fenceAddress = { host: '10.90.0.1', port: 5310 } as const;

/** Something that the fence server was asked. */
export interface FenceEvent {
  /** ISO 8601, of the answer. */
  readonly time: string;
  /** The address that asked. */
  readonly from: string;
  readonly action: string;
  readonly machine: string;
  /** `ok ...` or `failed ...`. */
  readonly answer: string;
}

/** The secret that lets a host ask; made with the lab. */
export function fenceToken(): string {
  if (!existsSync(place.fenceToken))
    writeFileSync(place.fenceToken, `${randomBytes(16).toString('hex')}\n`, { mode: 0o600 });
  return readFileSync(place.fenceToken, 'utf8').trim();
}

/** Starts the fence server, which ends with the lab's namespace. */
export async function startFenceServer(signal?: AbortSignal): Promise<void> {
  fenceToken();
  const file = join(labDirectory, 'fence-server.out');
  const output = openSync(file, 'w');
  const server = spawn(
    'nsenter',
    [`--net=${place.namespace}`, process.execPath, join(import.meta.dirname, 'fence-server.ts')],
    { stdio: ['ignore', output, output], detached: true },
  );
  closeSync(output);
  server.unref();
  const deadline = Date.now() + 20_000;
  while (!readFileSync(file, 'utf8').includes('listening')) {
    if (server.exitCode !== null || Date.now() > deadline)
      throw new InfrastructureError(`The fence server did not start: ${readFileSync(file, 'utf8').trim()}`);
    await sleep(50, undefined, signal && { signal });
  }
}

/** What the fence server was asked so far, the oldest first. */
export function fenceEvents(): readonly FenceEvent[] {
  if (!existsSync(place.fenceLog)) return [];
  return readFileSync(place.fenceLog, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as FenceEvent);
}
