/**
 * `write-blocks.ts DEVICE STAMP ROOM STOP`: writes numbered blocks to a device, each of them flushed before
 * the next, and says of each `NUMBER MILLISECONDS` once it is on the medium, until the file STOP is there.
 *
 * Block N is at place N modulo ROOM. The milliseconds are those since the flush before.
 */
import { closeSync, existsSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { blockSize, formBlock } from './blocks.ts';

const [device = '', stamp = '', room = '', stop = ''] = process.argv.slice(2);
const fd = openSync(device, 'r+');
let last = performance.now();
for (let number = 0; !existsSync(stop); number += 1) {
  writeSync(fd, formBlock(stamp, number), 0, blockSize, (number % Number(room)) * blockSize);
  fdatasyncSync(fd);
  const now = performance.now();
  process.stdout.write(`${number} ${Math.round(now - last)}\n`);
  last = now;
  // Others on the same emulated processors want to work too.
  await sleep(20);
}
closeSync(fd);
