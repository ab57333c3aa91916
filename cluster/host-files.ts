/** Where the cluster's files are on a host. */
export const hostFiles = {
  corosyncConf: '/etc/corosync/corosync.conf',
  corosyncKey: '/etc/corosync/authkey',
  dlmConf: '/etc/dlm/dlm.conf',
  systemd: '/etc/systemd/system',
  /** What systemd forgets at the next boot. */
  systemdOfThisBoot: '/run/systemd/system',
} as const;
