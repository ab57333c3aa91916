import { statfsSync } from 'node:fs';

/**
 * Filesystems that other hosts may have as well, by their magic number in statfs(2) (linux/magic.h and
 * the filesystems' own sources).
 */
const shared: ReadonlyMap<number, string> = new Map([
  [0x6969, 'nfs'],
  [0x517b, 'smb'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb2'],
  [0x01161970, 'gfs2'],
  [0x7461636f, 'ocfs2'],
  [0x00c36400, 'ceph'],
  [0x65735546, 'fuse'],
  [0x01021997, '9p'],
  [0x5346414f, 'afs'],
  [0x6b414653, 'kafs'],
  [0x0bd00bd0, 'lustre'],
  [0x564c, 'ncp'],
  [0x73757245, 'coda'],
  [0x786f4256, 'vboxsf'],
  [0xbacbacbc, 'vmhgfs'],
  [0x7c7c6673, 'prl_fs'],
  [0x47504653, 'gpfs'],
  [0x19830326, 'beegfs'],
  [0x20030528, 'orangefs'],
  [0xaad7aaea, 'panfs'],
  [0xbeefdead, 'snfs'],
]);

/** The name of a filesystem that other hosts may have as well; undefined where it is this host's own. */
export function sharedFilesystem(path: string): string | undefined {
  return shared.get(statfsSync(path).type >>> 0);
}
