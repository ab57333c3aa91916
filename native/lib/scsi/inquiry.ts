/** Standard INQUIRY data (SPC-4 section 6.6.2). */
export interface StandardInquiry {
  /** 0: a unit is there; 1: the port knows the number but has none now; 3: no unit can be there. */
  readonly peripheralQualifier: number;
  /** 0 disk, 5 CD/DVD, 0x0c storage array controller, 0x1f none ... */
  readonly deviceType: number;
  readonly removable: boolean;
  /** Version of SPC that is claimed: 5 SPC-3, 6 SPC-4. */
  readonly version: number;
  readonly vendor: string;
  readonly product: string;
  readonly revision: string;
}

/** Text of a fixed field: ASCII, without the blanks and zero bytes that fill it. */
export function fieldText(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('latin1')
    .replace(/^[\0 ]+|[\0 ]+$/g, '');
}

/** Reads what there is; a field that was not sent is empty. */
export function parseInquiry(data: Uint8Array): StandardInquiry {
  const [first = 0x7f, second = 0, version = 0] = data;
  return {
    peripheralQualifier: first >> 5,
    deviceType: first & 0x1f,
    removable: (second & 0x80) !== 0,
    version,
    vendor: fieldText(data.subarray(8, 16)),
    product: fieldText(data.subarray(16, 32)),
    revision: fieldText(data.subarray(32, 36)),
  };
}
