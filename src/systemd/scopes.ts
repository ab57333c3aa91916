/** Scopes: units of systemd around processes that someone else has started. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
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
 * Takes a process, and all that it will start, out of the control group of whoever started it, into a scope: it lives
 * on when that group is killed. The scope goes when its last process has ended; systemd ends it by SIGTERM.
 *
 * @throws PluginError `SystemdUnavailable` also when the process ends meanwhile.
 */
export async function moveToScope(pid: number, scope: Scope): Promise<void> {
  const { name, description, slice, after, before } = scope;
  try {
    await withSystemd(limit, async (systemd) => {
      await systemd.startTransient(name, [
        ['Description', 's', description],
        ['Slice', 's', slice],
        ['After', 'as', after],
        ['Before', 'as', before],
        ['PIDs', 'au', [pid]],
      ]);
    });
    const end = performance.now() + limit;
    // systemd answers when it has queued the job; the kernel says when it is done.
    while (!readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(`/${name}`)) {
      if (performance.now() >= end) throw new Error(`its control group did not change within ${limit} ms`);
      await sleep(2);
    }
  } catch (error) {
    throw new PluginError(
      'SystemdUnavailable',
      `systemd did not take process ${pid} into ${name} (${error instanceof Error ? error.message : String(error)}); see journalctl -u ${name}, and whether dbus.service runs.`,
      { cause: error },
    );
  }
}

/** The name of the mount unit of the filesystem that a path is on. */
export function mountUnitOf(path: string): string {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    // proc(5): the fifth field, in which four characters are octal.
    .map((line) => (line.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, (_, code) => octal(code)))
    .filter(
      (point) => point !== '' && (path === point || path.startsWith(point === '/' ? '/' : `${point}/`)),
    );
  const longest = points.reduce((best, point) => (point.length > best.length ? point : best), '/');
  return `${escapePath(longest)}.mount`;
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

function octal(code: string): string {
  return String.fromCharCode(Number.parseInt(code, 8));
}
