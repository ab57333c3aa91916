/** What a guest does with a volume that no disk runs on: reads and writes its image, by tools that are told the format. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import type { Volume } from '../../src/smapi/interface.ts';
import { fillVhd, readVhd } from './vhd.ts';
import { imageOf } from './volume-host.ts';

/** The format that a volume's URI names. */
export function formatOf(volume: Volume): string {
  return /^([a-z0-9]+)\+file:/.exec(volume.uri[0] ?? '')?.[1] ?? '';
}

/** Fills `length` bytes from `offset` with one byte, durably. */
export function fill(volume: Volume, byte: number, offset: number, length: number): void {
  if (formatOf(volume) === 'vhd') {
    fillVhd(imageOf(volume), byte, offset, length);
    return;
  }
  const command = `write -P ${byte} ${offset} ${length}`;
  execFileSync('qemu-io', ['-f', formatOf(volume), '-c', command, '-c', 'flush', imageOf(volume)]);
}

/** All bytes of a volume's disk. */
export function read(volume: Volume): Buffer {
  if (formatOf(volume) === 'vhd') return readVhd(imageOf(volume));
  const copy = `${imageOf(volume)}.copy-${process.pid}`;
  try {
    execFileSync('qemu-img', ['convert', '-f', formatOf(volume), '-O', 'raw', imageOf(volume), copy]);
    return readFileSync(copy);
  } finally {
    rmSync(copy, { force: true });
  }
}

/** A volume's disk as runs of one byte, such as `7x65536 0x4096`. */
export function runs(volume: Volume): string {
  const bytes = read(volume);
  const found: string[] = [];
  for (let start = 0; start < bytes.length; ) {
    const byte = bytes[start] as number;
    let end = start + 512;
    while (end < bytes.length && bytes[end] === byte) end += 512;
    found.push(`${byte}x${Math.min(end, bytes.length) - start}`);
    start = end;
  }
  return found.join(' ');
}

/** Throws unless an image is in order: no leaked cluster, no corruption. */
export function checkImageFile(file: string): void {
  if (file.endsWith('.raw')) return;
  if (file.endsWith('.vhd')) {
    execFileSync('vhd-util', ['check', '-n', file], { stdio: 'pipe' });
    return;
  }
  execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', file], { stdio: 'pipe' });
}
