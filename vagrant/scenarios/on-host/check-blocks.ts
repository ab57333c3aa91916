/**
 * `check-blocks.ts STAMP COUNT ROOM`: looks whether the blocks 0 to COUNT - 1 of write-blocks.ts are on a
 * device, whose first bytes come by the standard input.
 *
 * Prints a line for each place that has neither the last of its blocks that must be there nor the one after
 * that, which was on its way to the medium when the writer died.
 */
import { blockSize, describeBlock, formBlock } from './blocks.ts';

const [stamp = '', count = '', room = ''] = process.argv.slice(2);
const places = Number(room);
const used = Math.min(Number(count), places);
const chunks: Uint8Array[] = [];
for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array);
const bytes = Buffer.concat(chunks);

for (let place = 0; place < used; place += 1) {
  const block = bytes.subarray(place * blockSize, (place + 1) * blockSize);
  const last = place + places * Math.floor((Number(count) - 1 - place) / places);
  const isThere = [last, last + places].some((number) => block.equals(formBlock(stamp, number)));
  if (!isThere) process.stdout.write(`place ${place}: ${describeBlock(block)} instead of block ${last}\n`);
}
