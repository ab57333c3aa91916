/** The lab's network namespace, and the processes in it, which all are the lab's. */
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { mustRunOnHost } from '../lib/host-command.ts';
import { place } from './place.ts';

/** Makes the namespace, kept by a mount on a file. */
export async function createNamespace(): Promise<void> {
  writeFileSync(place.namespace, '');
  const tool = { timeout: 10_000 };
  try {
    await mustRunOnHost(undefined, 'unshare', [`--net=${place.namespace}`, 'true'], tool);
  } catch (error) {
    // From scratch it would be no better.
    throw new Error(
      'The lab needs a network namespace of its own, and this machine lets its root make none; in a container, let it have CAP_SYS_ADMIN.',
      { cause: error },
    );
  }
  await mustRunOnHost(place.namespace, 'ip', ['link', 'set', 'lo', 'up'], tool);
}

/** Ends every process in the namespace, then the namespace. Harmless when there is none. */
export async function removeNamespace(): Promise<void> {
  if (!existsSync(place.namespace)) return;
  // A process that ends may just have started another one.
  for (let round = 0; round < 100; round += 1) {
    const pids = processesInside();
    if (pids.length === 0) break;
    for (const pid of pids) kill(pid);
    await sleep(100);
  }
  if (isMounted()) await mustRunOnHost(undefined, 'umount', [place.namespace], { timeout: 10_000 });
}

/** The processes of the lab: libvirtd, dnsmasq, QEMU, Vagrant, ssh. */
export function processesInside(): readonly number[] {
  if (!isMounted()) return [];
  const wanted = statSync(place.namespace);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const own = statSync(`/proc/${pid}/ns/net`);
        return own.ino === wanted.ino && own.dev === wanted.dev;
      } catch {
        return false;
      }
    });
}

/** A namespace is kept by its own filesystem; the plain file that it is mounted on lies in another one. */
function isMounted(): boolean {
  return existsSync(place.namespace) && statSync(place.namespace).dev === statSync('/proc/self/ns/net').dev;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {}
}
