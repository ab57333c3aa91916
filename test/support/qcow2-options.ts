/** The options of volumes' images (src/qcow2/empty-image.ts), for qemu-img. */
export const qcow2Options = [
  'compat=1.1',
  'cluster_size=131072',
  'extended_l2=on',
  'lazy_refcounts=off',
  'preallocation=off',
].join(',');
