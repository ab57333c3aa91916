/** Where things are on a host. Tests and the demo move them with the environment. */
export const hostPaths = {
  /** State of this boot: what is attached and active here. */
  run: process.env.GFS2_SR_RUN_DIR ?? '/run/gfs2-iscsi-sr',
  /** Where SRs with a filesystem of their own are mounted, each below its uuid. */
  mounts: process.env.GFS2_SR_MOUNT_DIR ?? '/run/sr-mount',
  /** The file with this host's iSCSI initiator name, shared with open-iscsi. */
  initiatorName: process.env.GFS2_SR_INITIATOR_NAME_FILE ?? '/etc/iscsi/initiatorname.iscsi',
  /** The kernel's view of its devices. */
  sys: process.env.GFS2_SR_SYS_DIR ?? '/sys',
  /** The product's own settings; most hosts have none. */
  settings: process.env.GFS2_SR_SETTINGS_FILE ?? '/etc/gfs2-iscsi-sr.conf',
  /** xapi's description of this host, with its installation uuid. */
  inventory: process.env.GFS2_SR_INVENTORY_FILE ?? '/etc/xensource-inventory',
} as const;
