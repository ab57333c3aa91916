import { run, writeToKernel } from './host-command.ts';
import type { LunSizes, Path, PathSize } from './model.ts';
import { mapOf, resizeMap } from './multipath.ts';
import { isUsable, pathsOver } from './paths.ts';
import { sessionsOf } from './sessions.ts';
import { readSize, unitFile } from './sysfs.ts';

/** Milliseconds for one disk to be looked at again. */
const timeout = 15_000;

/**
 * Makes the kernel look at the LUN's size again over every path, and then at its map's, where there is one
 * and all paths agree. A path that does not work now is only told of.
 */
export async function rescan(iqns: readonly string[], scsiId: string): Promise<LunSizes> {
  const paths = await Promise.all(pathsOver(sessionsOf(iqns), scsiId).map(rescanPath));
  const map = mapOf(scsiId);
  if (map === undefined) return { paths };
  const [size, ...others] = new Set(paths.map(({ seen }) => seen));
  if (size !== undefined && others.length === 0 && readSize(map.device) !== size) await resizeMap(map);
  return { paths, map: { device: `/dev/mapper/${map.name}`, seen: readSize(map.device) } };
}

async function rescanPath(path: Path): Promise<PathSize> {
  const name = path.device.slice('/dev/'.length);
  if (!isUsable(path)) return { path, reported: undefined, seen: readSize(name) };
  const reported = await readCapacity(path.device);
  if (reported !== undefined && reported !== readSize(name)) {
    await writeToKernel(unitFile(name, 'rescan'), '1', timeout).catch(() => {});
  }
  return { path, reported, seen: readSize(name) };
}

/** Asks a disk for its size in bytes; undefined where it does not answer. */
async function readCapacity(device: string): Promise<bigint | undefined> {
  try {
    const { stdout } = await run('sg_readcap', ['--16', '--brief', device], { timeout });
    return parseCapacity(stdout);
  } catch {
    return undefined;
  }
}

/** Reads `sg_readcap --brief`: the number of blocks and the bytes of one, such as `0x800000 0x200`. */
export function parseCapacity(text: string): bigint | undefined {
  const [, blocks, blockSize] = /^(0x[0-9a-f]+) (0x[0-9a-f]+)/i.exec(text.trim()) ?? [];
  return blocks === undefined || blockSize === undefined ? undefined : BigInt(blocks) * BigInt(blockSize);
}
