/**
 * How qcow2 images are made.
 *
 * - 128 KiB clusters with 32 subclusters of 4 KiB (`extended_l2`, QEMU 5.2 and later): the first write to a
 *   part of a child copies 4 KiB from its parent instead of a cluster, while the tables of 16 TiB stay as small as
 *   with 64 KiB clusters. A subcluster is a block of gfs2, so that images are as thin as their guests' writes.
 * - Reference counts are written at once (`lazy_refcounts=off`): an image of a host that died needs no repair
 *   before it can be opened.
 * - Nothing is allocated ahead: images are made in constant time, and are thin.
 */
export const qcow2Options = [
  'compat=1.1',
  'cluster_size=131072',
  'extended_l2=on',
  'lazy_refcounts=off',
  'preallocation=off',
].join(',');
