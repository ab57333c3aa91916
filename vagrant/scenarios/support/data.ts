/** Data on the disks that run on a host. */
import type { Host } from './host.ts';

/** Bytes that were written, from the start of a disk. */
export interface Written {
  readonly mebibytes: number;
  readonly sha256: string;
}

/** Writes random bytes to the start of a disk, past the host's memory, and waits until they are on the storage. */
export async function writeData(host: Host, device: string, mebibytes: number): Promise<Written> {
  const said = await host.sh(
    'f=$(mktemp); trap \'rm "$f"\' EXIT; dd if=/dev/urandom of="$f" bs=1M count="$2" status=none; ' +
      'dd if="$f" of="$1" bs=1M oflag=direct conv=notrunc,fsync status=none; sha256sum <"$f"',
    [device, String(mebibytes)],
  );
  return { mebibytes, sha256: said.slice(0, 64) };
}

/** The digest of the first bytes of a disk, past the host's memory. */
export async function readDigest(host: Host, device: string, mebibytes: number): Promise<string> {
  const said = await host.sh('dd if="$1" bs=1M count="$2" iflag=direct status=none | sha256sum', [
    device,
    String(mebibytes),
  ]);
  return said.slice(0, 64);
}
