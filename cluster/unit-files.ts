/** What systemd is told about the cluster: the order at shutdown, and that nobody stops it by accident. */

/** A file below `/etc/systemd/system`. */
export interface UnitFile {
  readonly path: string;
  readonly content: string;
}

const head = '# Written by gfs2-sr cluster set-up.';

/**
 * Debian's units say nothing about gfs2: at shutdown systemd would stop dlm and unmount at the same time, and
 * an unmount without dlm never ends. A drop-in for the prefix of a unit's name counts for every SR's mount.
 */
const mountOrder: UnitFile = {
  path: 'run-sr\\x2dmount-.mount.d/50-gfs2-iscsi-sr.conf',
  content: `${head}
# An SR is unmounted before anything that it needs is stopped.
[Unit]
After=corosync.service dlm.service iscsid.service open-iscsi.service multipathd.service network.target
`,
};

/**
 * A stop of dlm or corosync under a mounted gfs2 takes the host out of the cluster: it must be reset. Package
 * upgrades restart services, and people do. `gfs2-sr cluster stop` looks first; a shutdown is not affected.
 */
const noManualStop = `# Stopped under a mounted SR, this host would have to be reset: use gfs2-sr cluster stop.
[Unit]
RefuseManualStop=yes
`;

/**
 * dlm_controld ends within a second, or never, while a lockspace exists. At a shutdown with an SR that is
 * still in use systemd would wait twice its usual time, three minutes in all, for nothing.
 */
const quickStop = `
# It ends at once or, while a lockspace exists, never.
[Service]
TimeoutStopSec=10s
`;

/** All that the set-up installs. */
export const unitFiles: readonly UnitFile[] = [
  mountOrder,
  { path: 'corosync.service.d/50-gfs2-iscsi-sr.conf', content: `${head}\n${noManualStop}` },
  { path: 'dlm.service.d/50-gfs2-iscsi-sr.conf', content: `${head}\n${noManualStop}${quickStop}` },
];

/** What lets a unit be stopped in this boot, by a file that comes after the one of the set-up. */
export const allowStop = (unit: string): UnitFile => ({
  path: `${unit}.d/60-gfs2-iscsi-sr-stop.conf`,
  content: `${head.replace('set-up', 'stop')}\n[Unit]\nRefuseManualStop=no\n`,
});
