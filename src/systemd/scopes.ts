/** Scopes: units of systemd around processes that someone else has started. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { mountOf } from '../mounts.ts';
import { PluginError } from '../smapi/errors.ts';
import { withSystemd } from './bus.ts';

/** A scope that is to be. */
export interface Scope {
  /** The unit's name, such as `disk-1.scope`; no unit may have it. */
  readonly name: string;
  readonly description: string;
  /** The slice's name; it is made if need be. */
  readonly slice: string;
  /** When the host goes down: units that are stopped only after the scope is, and others that are stopped first. */
  readonly after: readonly string[];
  readonly before: readonly string[];
}

/** Milliseconds for all of it. */
const limit = 20_000;

/**
 * Takes processes, and all that they will start, out of the control group of whoever started them, into a scope: they
 * live on when that group is killed. The scope goes when its last process has ended; systemd ends it by SIGTERM.
 *
 * @throws PluginError `SystemdUnavailable` also when one of the processes ends meanwhile.
 */
export async function moveToScope(pids: readonly number[], scope: Scope): Promise<void> {
  const { name, description, slice, after, before } = scope;
  try {
    await withSystemd(limit, async (systemd) => {
      await systemd.startTransient(name, [
        ['Description', 's', description],
        ['Slice', 's', slice],
        ['After', 'as', after],
        ['Before', 'as', before],
        ['PIDs', 'au', pids],
      ]);
    });
    const end = performance.now() + limit;
    // systemd answers when it has queued the job; the kernel says when it is done.
    while (pids.some((pid) => !readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(`/${name}`))) {
      if (performance.now() >= end) throw new Error(`its control group did not change within ${limit} ms`);
      await sleep(2);
    }
  } catch (error) {
    throw new PluginError(
      'SystemdUnavailable',
      `systemd did not take process ${pids.join(' and ')} into ${name} (${error instanceof Error ? error.message : String(error)}); see journalctl -u ${name}, and whether dbus.service runs.`,
      { cause: error },
    );
  }
}

/** The name of the mount unit of the filesystem that a path is on. */
export function mountUnitOf(path: string): string {
  return `${escapePath(mountOf(path)?.path ?? '/')}.mount`;
}

/** As systemd-escape(1) does with `--path`. */
function escapePath(path: string): string {
  const names = path.replace(/^\/+|\/+$/g, '');
  if (names === '') return '-';
  return [...Buffer.from(names)]
    .map((byte, index) => {
      const character = String.fromCharCode(byte);
      if (character === '/') return '-';
      const plain = /[A-Za-z0-9:_.]/.test(character) && !(index === 0 && character === '.');
      return plain ? character : `\\x${byte.toString(16).padStart(2, '0')}`;
    })
    .join('');
}
