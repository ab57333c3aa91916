/** Sense data (SPC-4 section 4.5): what a unit says about a command it did not carry out. */
export interface Sense {
  readonly key: number;
  readonly asc: number;
  readonly ascq: number;
}

/**
 * Reads fixed (70h, 71h) and descriptor (72h, 73h) sense data of any length.
 * Undefined when the bytes are too few or of another format.
 */
export function parseSense(bytes: Uint8Array): Sense | undefined {
  const [code = 0, second = 0, third = 0, fourth = 0] = bytes;
  switch (code & 0x7f) {
    case 0x70:
    case 0x71:
      if (bytes.length < 3) return undefined;
      return { key: third & 15, asc: bytes[12] ?? 0, ascq: bytes[13] ?? 0 };
    case 0x72:
    case 0x73:
      if (bytes.length < 4) return undefined;
      return { key: second & 15, asc: third, ascq: fourth };
    default:
      return undefined;
  }
}

const KEYS = [
  'No Sense',
  'Recovered Error',
  'Not Ready',
  'Medium Error',
  'Hardware Error',
  'Illegal Request',
  'Unit Attention',
  'Data Protect',
  'Blank Check',
  'Vendor Specific',
  'Copy Aborted',
  'Aborted Command',
  'Reserved (C)',
  'Volume Overflow',
  'Miscompare',
  'Completed',
];

// SPC-4 annex E, as far as disks on a network send them. Qualifier 00 also
// stands in for qualifiers that are not listed.
const CODES: Record<number, string> = {
  512: 'No seek complete',
  1024: 'Logical unit not ready, cause not reportable',
  1025: 'Logical unit is in process of becoming ready',
  1026: 'Logical unit not ready, initializing command required',
  1027: 'Logical unit not ready, manual intervention required',
  1028: 'Logical unit not ready, format in progress',
  1034: 'Logical unit not accessible, asymmetric access state transition',
  1035: 'Logical unit not accessible, target port in standby state',
  1036: 'Logical unit not accessible, target port in unavailable state',
  1280: 'Logical unit does not respond to selection',
  2048: 'Logical unit communication failure',
  2049: 'Logical unit communication time-out',
  3072: 'Write error',
  4352: 'Unrecovered read error',
  5120: 'Recorded entity not found',
  6656: 'Parameter list length error',
  8192: 'Invalid command operation code',
  8448: 'Logical block address out of range',
  9216: 'Invalid field in command',
  9472: 'Logical unit not supported',
  9728: 'Invalid field in parameter list',
  9732: 'Invalid release of persistent reservation',
  9984: 'Write protected',
  9985: 'Hardware write protected',
  9986: 'Logical unit software write protected',
  9991: 'Space allocation failed, write protect',
  10240: 'Not ready to ready change, medium may have changed',
  10496: 'Power on, reset, or bus device reset occurred',
  10497: 'Power on occurred',
  10498: 'Bus reset occurred',
  10499: 'Bus device reset function occurred',
  10500: 'Device internal reset',
  10503: 'I_T nexus loss occurred',
  10752: 'Parameters changed',
  10753: 'Mode parameters changed',
  10755: 'Reservations preempted',
  10756: 'Reservations released',
  10757: 'Registrations preempted',
  10758: 'Asymmetric access state changed',
  10761: 'Capacity data has changed',
  11264: 'Command sequence error',
  12032: 'Commands cleared by another initiator',
  14343: 'Thin provisioning soft threshold reached',
  14848: 'Medium not present',
  15872: 'Logical unit has not self-configured yet',
  16129: 'Microcode has been changed',
  16131: 'Inquiry data has changed',
  16142: 'Reported LUNs data has changed',
  17408: 'Internal target failure',
  18176: 'SCSI parity error',
  19200: 'Data phase error',
  19968: 'Overlapped commands attempted',
  21760: 'System resource failure',
  21764: 'Insufficient registration resources',
  21766: 'Not enough resources for auxiliary memory',
  23808: 'Failure prediction threshold exceeded',
};

const hex = (byte: number) => byte.toString(16).padStart(2, '0').toUpperCase();

/** In words and numbers: `Illegal Request, Logical unit not supported (5/25/00)`. */
export function describeSense({ key, asc, ascq }: Sense): string {
  const code = CODES[(asc << 8) | ascq] ?? CODES[asc << 8];
  const numbers = `${key.toString(16).toUpperCase()}/${hex(asc)}/${hex(ascq)}`;
  return `${KEYS[key]}${code === undefined ? '' : `, ${code}`} (${numbers})`;
}

const STATUS: Record<number, string> = {
  2: 'Check Condition without sense data',
  8: 'the unit is busy',
  24: 'Reservation Conflict: another host holds a reservation',
  40: 'the task set of the unit is full',
  48: 'ACA active',
  64: 'the task was aborted',
};

/** A SCSI status byte in words. */
export function statusName(status: number): string {
  return STATUS[status] ?? `SCSI status ${hex(status)}h`;
}
