/** Where the lab keeps all that it has. */
import { join } from 'node:path';

/**
 * One folder, gone after lab-down; another one is another lab. Its parents can be entered by anybody, for dnsmasq
 * serves the lab's addresses as nobody; its path is short, for it holds sockets.
 */
export const labDirectory = process.env.LAB_DIRECTORY ?? '/var/lib/gfs2-iscsi-sr-lab';

export const place = {
  /** The lab's network namespace, as a mount. */
  namespace: join(labDirectory, 'netns'),
  /** What takes the place of /run for the lab's libvirtd. */
  run: join(labDirectory, 'run'),
  libvirtSocket: join(labDirectory, 'run/libvirt/libvirt-sock'),
  libvirtdLog: join(labDirectory, 'libvirtd.log'),
  pool: join(labDirectory, 'pool'),
  console: join(labDirectory, 'console'),
  /** VAGRANT_HOME. */
  vagrantHome: join(labDirectory, 'vagrant'),
  /** What Vagrant and the driver know of the machines. */
  machines: join(labDirectory, 'machines'),
  /** TMPDIR of Vagrant, which may be killed at any moment. */
  temporary: join(labDirectory, 'tmp'),
  /** What the lab was brought up with. */
  settings: join(labDirectory, 'lab.json'),
  /** The disk that the target's LUNs are parts of. */
  luns: join(labDirectory, 'luns.img'),
  /** What the machines have in common with the lab and nobody else may read. */
  chap: join(labDirectory, 'chap.json'),
  fenceToken: join(labDirectory, 'fence.token'),
  /** What the fence server was asked and did. */
  fenceLog: join(labDirectory, 'fence.log'),
  /** What is installed on the hosts. */
  appliance: join(labDirectory, 'appliance.tar'),
  /** The secret of the hosts' cluster. */
  clusterKey: join(labDirectory, 'cluster.key'),
  /** The process that brings the lab up, or runs scenarios in it and takes it down. */
  process: join(labDirectory, 'process.pid'),
};

/** The lab's libvirtd, for virsh. */
export const libvirtUri = `qemu:///system?socket=${place.libvirtSocket}`;
