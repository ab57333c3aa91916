/**
 * The SCSI id of a LUN, as udev's scsi_id forms it for ID_SERIAL: what /dev/disk/by-id and multipath
 * call the LUN by, and what `scsi_id --whitelisted --replace-whitespace` prints.
 *
 * Protocol: SPC-4 7.8.6 (Device Identification VPD page), 7.8.18 (Unit Serial Number VPD page).
 */

/** scsi_id asks for this many bytes of a page and sees no more. */
const pageLimit = 254;
/** scsi_id passes over a designator that would make an id of this many characters. */
const idLimit = 254;

const binary = 1;
const ascii = 2;

/** SPC-4 table 555: designator types. */
const vendorSpecific = 0;
const t10Vendor = 1;
const eui64 = 2;
const naa = 3;

/** Designators from the best to the worst, in scsi_id's order: type, NAA format, code set. */
const preference: readonly (readonly [type: number, format: number | undefined])[] = [
  [naa, 6],
  [naa, 5],
  [naa, undefined],
  [eui64, undefined],
  [t10Vendor, undefined],
  [vendorSpecific, undefined],
];

/** A LUN's identity, as far as VPD pages tell it. */
export interface ScsiIdentity {
  readonly id: string;
  /**
   * What stands behind it: `standard` for an id that a standard makes unique in the world (NAA, EUI-64),
   * `vendor` for a text of the vendor's choice, `blank` where the device left empty what should tell its
   * units apart.
   */
  readonly basis: 'standard' | 'vendor' | 'blank';
}

/** The INQUIRY strings that go into some ids: as the device sent them, padded with spaces. */
export interface InquiryStrings {
  readonly vendor: string;
  readonly product: string;
}

/**
 * Forms the SCSI id.
 *
 * @param page83 the whole Device Identification page with its header; absent where the LUN has none.
 * @param page80 the whole Unit Serial Number page with its header; absent where the LUN has none.
 * @returns undefined where neither page has anything to make an id of.
 */
export function scsiIdentity(
  page83: Uint8Array | undefined,
  page80: Uint8Array | undefined,
  inquiry: InquiryStrings,
): ScsiIdentity | undefined {
  const found = page83 === undefined ? undefined : fromDeviceIdentification(page83, inquiry);
  if (found !== undefined) return found;
  if (page80 === undefined || page80[1] !== 0x80) return undefined;
  const serial = latin1(page80.subarray(4, 4 + (page80[3] ?? 0)));
  return {
    id: udevName(`S${vendorAndModel(inquiry)}${serial}`),
    basis: isBlank(page80.subarray(4)) ? 'blank' : 'vendor',
  };
}

function fromDeviceIdentification(page: Uint8Array, inquiry: InquiryStrings): ScsiIdentity | undefined {
  const seen = page.subarray(0, pageLimit);
  if (seen[1] !== 0x83 || seen.length < 8) return undefined;
  // Before SPC-3 some arrays put a bare identifier where the designators are now; a reserved byte of
  // the first designator tells the two apart.
  if (seen[6] !== 0) {
    return { id: udevName(`${naa}${hex(seen.subarray(4, 4 + (seen[3] ?? 0)))}`), basis: 'standard' };
  }
  const designators = parseDesignators(seen).filter(({ association }) => association === 0);
  for (const [type, format] of preference) {
    for (const codeSet of [binary, ascii]) {
      const designator = designators.find(
        (candidate) =>
          candidate.type === type &&
          candidate.codeSet === codeSet &&
          (format === undefined || (candidate.bytes[0] ?? 0) >> 4 === format) &&
          idLength(candidate) <= idLimit,
      );
      if (designator === undefined) continue;
      const { bytes } = designator;
      const id = udevName(
        `${type}${type === vendorSpecific ? vendorAndModel(inquiry) : ''}${codeSet === ascii ? latin1(bytes) : hex(bytes)}`,
      );
      // A T10 vendor id begins with the eight characters of the vendor, which all its units share.
      if (isBlank(type === t10Vendor ? bytes.subarray(8) : bytes)) return { id, basis: 'blank' };
      return { id, basis: type === naa || type === eui64 ? 'standard' : 'vendor' };
    }
  }
  return undefined;
}

/** One designation descriptor of VPD page 83h. */
interface Designator {
  readonly type: number;
  /** 0: the logical unit, 1: the target port, 2: the target device. */
  readonly association: number;
  /** 1: binary, 2: ASCII, 3: UTF-8. */
  readonly codeSet: number;
  readonly bytes: Uint8Array;
}

function parseDesignators(page: Uint8Array): readonly Designator[] {
  const end = Math.min(page.length, 4 + (((page[2] ?? 0) << 8) | (page[3] ?? 0)));
  const designators: Designator[] = [];
  for (let at = 4; at + 4 <= end; ) {
    const length = page[at + 3] ?? 0;
    designators.push({
      codeSet: (page[at] ?? 0) & 0x0f,
      association: ((page[at + 1] ?? 0) >> 4) & 3,
      type: (page[at + 1] ?? 0) & 0x0f,
      bytes: page.subarray(at + 4, at + 4 + length),
    });
    at += 4 + length;
  }
  return designators;
}

function idLength({ type, codeSet, bytes }: Designator): number {
  return (codeSet === ascii ? 1 : 2) * bytes.length + (type === vendorSpecific ? 24 : 0);
}

function vendorAndModel({ vendor, product }: InquiryStrings): string {
  return vendor.padEnd(8).slice(0, 8) + product.padEnd(16).slice(0, 16);
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0 || byte === 0x20);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

/**
 * Makes a text fit for a name under /dev as udev does: it ends at the first NUL, white space at its ends
 * goes, runs of white space become one underscore, as does every other character that is not allowed.
 *
 * @param text one character a byte.
 */
function udevName(text: string): string {
  const ended = text.split('\0', 1)[0] ?? '';
  const joined = ended.replace(/^[ \t-\r]+|[ \t-\r]+$/g, '').replaceAll(/[ \t-\r]+/g, '_');
  // A byte above 7Fh stays if it belongs to valid UTF-8.
  const decoded = Buffer.from(joined, 'latin1').toString('utf8');
  return decoded.replaceAll(/\\x|[^A-Za-z0-9#+\-.:=@_\u0080-\u{10ffff}]|\ufffd/gu, (found) =>
    found === '\\x' ? found : '_',
  );
}
