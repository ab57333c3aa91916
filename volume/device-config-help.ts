/** What the keys of a device-config mean: apart from their parser, which Plugin.query does without. */

/** Every device-config key, and its help for people. */
export const deviceConfigHelp = {
  /** `iscsi` or `path`; `iscsi` where it is absent. */
  provider: 'Where the SR is: iscsi (default), or path for a directory of this host.',
  /** Portals, see parsePortals. */
  ips: 'iSCSI portals, comma separated: addresses or names, each with :port if it is not the one of port; IPv6 with a port in brackets.',
  /** The port of portals that name none. */
  port: 'TCP port of the portals that name none (default 3260).',
  /** Names of targets, comma separated. */
  iqns: 'Names of the iSCSI targets that have the LUN, comma separated.',
  /** The LUN. */
  ScsiId: 'SCSI id of the LUN, as udev shows it.',
  /** The names that sm's iSCSI drivers and XenCenter have for three of them. */
  target: 'The same as ips, for clients of other iSCSI drivers.',
  targetIQN: 'The same as iqns, for clients of other iSCSI drivers.',
  SCSIid: 'The same as ScsiId, for clients of other iSCSI drivers.',
  /** CHAP: empty is none. */
  chapuser: 'CHAP user with which this host logs in; empty for none.',
  chappassword: 'CHAP secret with which this host logs in; targets usually want 12 to 16 characters.',
  /** Mutual CHAP: empty is none. */
  incoming_chapuser: 'Mutual CHAP: user with which the target proves itself to this host; empty for none.',
  incoming_chappassword: "Mutual CHAP: the target's secret, which must differ from chappassword.",
  /** An absolute path, for `provider=path`. */
  path: 'With provider=path: the absolute path of an existing directory on a local filesystem.',
  /** For SR.create: kept in the SR. */
  'image-format':
    'Format of the images of new volumes: qcow2 (default), raw, or vhd for hosts with tapdisk; given to SR.create.',
  /** Written by SR.create and SR.probe. */
  sr_uuid: 'UUID of the SR to attach; SR.create and SR.probe answer it.',
  /** Consent of a person, for one SR.create. */
  force: 'For SR.create: true to make an SR where something else already is.',
} as const;
