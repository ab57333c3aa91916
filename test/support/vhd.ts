/** The real tools for VHD images: vhd-util and tapdisk, of the project blktap. No distribution has them but dom0's. */
import { execFileSync } from 'node:child_process';
import { hasCommand } from '../../src/find-command.ts';

/** Whether this machine has them; tests that need them are skipped elsewhere, and say so by their names. */
export const hasBlktap = hasCommand('vhd-util') && hasCommand('tap-ctl');

/** For the names of tests that need them. */
export const needsBlktap = hasBlktap ? '' : ' (SKIPPED: vhd-util and tap-ctl are not installed here)';

/** Fills `length` bytes from `offset` with one byte, through a tapdisk of the test's own. */
export function fillVhd(image: string, byte: number, offset: number, length: number): void {
  const before = listTapdisks();
  execFileSync('tap-ctl', ['create', '-a', `vhd:${image}`]);
  const made = listTapdisks().find(({ name }) => !before.some((other) => other.name === name));
  if (made === undefined) throw new Error(`no tapdisk serves ${image}`);
  try {
    const socket = `/run/blktap-control/nbd${made.name}`;
    const command = `write -P ${byte} ${offset} ${length}`;
    execFileSync('qemu-io', ['-f', 'raw', '-c', command, `nbd+unix:///disk?socket=${socket}`]);
  } finally {
    const [pid = '', minor = ''] = made.name.split('.');
    execFileSync('tap-ctl', ['destroy', '-p', pid, '-m', minor]);
  }
}

/** All bytes of an image's disk, with what its parents hold. */
export function readVhd(image: string): Buffer {
  const sectors = Number(execFileSync('vhd-util', ['query', '-n', image, '-v'], { encoding: 'utf8' })) * 2048;
  return execFileSync('vhd-util', ['read', '-n', image, '-r', '0', '-c', String(sectors)], {
    maxBuffer: sectors * 512 + 1,
  });
}

/** A tapdisk, named by its process and minor as its sockets are, such as `31.0`. */
interface Tapdisk {
  readonly name: string;
  readonly path: string;
}

/** All that tap-ctl lists; a minor without a process is named `.3`. */
export function listTapdisks(): readonly Tapdisk[] {
  const lines = execFileSync('tap-ctl', ['list'], { encoding: 'utf8' }).split('\n');
  return lines.flatMap((line) => {
    if (line.trim() === '') return [];
    const field = (name: string): string => new RegExp(`\\b${name}=(\\S+)`).exec(line)?.[1] ?? '';
    return [{ name: `${field('pid')}.${field('minor')}`, path: field('args').replace(/^vhd:/, '') }];
  });
}
