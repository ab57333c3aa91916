/** Disks that come to a running machine. */

/** A disk to attach. */
export interface AttachDiskOptions {
  /** A raw file or a block device of this host. */
  readonly path: string;
  /** The name that libvirt knows it by in the machine: `vdb`, `vdc`, `sda`. */
  readonly target: string;
  /** The serial number that the machine reads. */
  readonly serial?: string | undefined;
  /** QEMU's cache mode; `none` unless told, so that a power cut loses what a real one would lose. */
  readonly cache?: 'none' | 'writeback' | 'writethrough' | 'directsync' | 'unsafe' | undefined;
  /** Whether the machine can only read it; such a disk can be in several machines at once. */
  readonly readOnly?: boolean | undefined;
}

/** An attached disk. */
export interface Disk {
  readonly target: string;
  readonly path: string;
}

/** The XML of a disk, for libvirt. */
export function diskXml(options: AttachDiskOptions): string {
  const bus = options.target.startsWith('sd') ? 'scsi' : 'virtio';
  return [
    `<disk type='file' device='disk'>`,
    `<driver name='qemu' type='raw' cache='${options.cache ?? 'none'}' discard='unmap'/>`,
    `<source file='${escapeXml(options.path)}'/>`,
    ...(options.readOnly === true ? ['<readonly/>'] : []),
    `<target dev='${escapeXml(options.target)}' bus='${bus}'/>`,
    ...(options.serial === undefined ? [] : [`<serial>${escapeXml(options.serial)}</serial>`]),
    '</disk>',
  ].join('');
}

function escapeXml(text: string): string {
  return text.replaceAll(/[<>&'"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
