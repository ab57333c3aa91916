import type { Connection } from './connection.ts';
import { IscsiError, ScsiError } from './errors.ts';
import { establish } from './login.ts';
import type { ConnectionOptions } from './options.ts';
import type { Portal } from './portal.ts';
import { type Capacity, parseCapacity10, parseCapacity16 } from './scsi/capacity.ts';
import * as cdb from './scsi/cdb.ts';
import { parseInquiry, type StandardInquiry } from './scsi/inquiry.ts';
import { encodeLun, type LunEntry, lunListLength, MAX_LUN, parseLunList } from './scsi/luns.ts';
import {
  parseRegisteredKeys,
  parseReservation,
  type RegisteredKeys,
  type Reservation,
  reservationDataLength,
} from './scsi/reservations.ts';
import { parseSense } from './scsi/sense.ts';
import * as vpd from './scsi/vpd.ts';

/** How long a logout may take before the connection is closed without it. */
export const CLOSE_TIMEOUT = 2_000;

/** Data of one command, in bytes. */
const MAX_TRANSFER = 64 * 1024 * 1024;

const MAX_ATTENTIONS = 8;
const MAX_BUSY = 4;
const BUSY_PAUSE = 100;

/** The data of one command, in one direction. */
export interface Transfer {
  /** How many bytes the command may return (its allocation or transfer length). */
  readonly dataIn?: number;
  /** What is sent to the unit. Not together with `dataIn`. */
  readonly dataOut?: Uint8Array;
}

const GOOD = 0x00;
const CHECK_CONDITION = 0x02;
const CONDITION_MET = 0x04;
const BUSY = 0x08;
const TASK_SET_FULL = 0x28;
const UNIT_ATTENTION = 6;
const POWER_ON_OR_RESET = 0x29;

const isAttention = (error: unknown): error is ScsiError =>
  error instanceof ScsiError && error.sense?.key === UNIT_ATTENTION;
const isBusy = (error: unknown) =>
  error instanceof ScsiError && (error.status === BUSY || error.status === TASK_SET_FULL);

/**
 * A session with one target. Commands may be issued all at once: they go out
 * together as far as the target's command window lets them.
 *
 * Every command rejects with a {@link ScsiError} when the unit refuses it, and
 * with an {@link IscsiError} of step `command` when it could not be asked:
 * `timeout` (only this command is given up; the session goes on), `closed`,
 * `protocol`, `aborted` (the session is over). There is no reconnecting.
 */
export class Session implements AsyncDisposable {
  readonly target: string;
  /** The portal that we are logged in at, after redirections. */
  readonly portal: Portal;
  /** Where the login was sent on to, in order; empty in most cases. */
  readonly redirects: readonly Portal[];
  readonly #connection: Connection;
  /** The form in which the target itself spells a LUN. */
  readonly #spelling = new Map<number, Uint8Array>();
  /** Optional pages and commands that a unit refused: not asked again. */
  readonly #refusals = new Map<string, ScsiError>();

  /** Sessions come from {@link login}. */
  constructor(connection: Connection, target: string, redirects: readonly Portal[]) {
    this.#connection = connection;
    this.target = target;
    this.portal = connection.portal;
    this.redirects = redirects;
  }

  /**
   * Sends one command as it is, once, and returns what the unit sent, which may
   * be shorter than asked for. CONDITION MET counts as success. The bytes may be
   * a view into a buffer with other answers: copy them before transferring it.
   * @throws {ScsiError | IscsiError}
   */
  async command(lun: number, block: Uint8Array, transfer: Transfer = {}): Promise<Uint8Array> {
    const { dataIn = 0, dataOut } = transfer;
    const fault = this.#fault(lun, block, dataIn, dataOut);
    if (fault !== undefined) throw this.#error('invalid-argument', fault);
    const address = this.#spelling.get(lun) ?? encodeLun(lun);
    const { status, bytes } = await this.#connection.command(lun, address, block, dataIn, dataOut);
    if (status === GOOD || status === CONDITION_MET) return bytes;
    if (status < 0) {
      const cause = `the target failed to carry it out (response ${-status})`;
      throw this.#error('target-error', cause, cdb.commandContext(lun, block));
    }
    const sense = status === CHECK_CONDITION ? parseSense(bytes) : undefined;
    const { target, portal } = this;
    throw new ScsiError(status, sense, { command: cdb.commandName(block), lun, target, portal });
  }

  #fault(
    lun: number,
    block: Uint8Array,
    dataIn: number,
    dataOut: Uint8Array | undefined,
  ): string | undefined {
    if (!Number.isInteger(lun) || lun < 0 || lun > MAX_LUN) return `${lun} is no LUN`;
    if (block.length < 6 || block.length > 16) return 'a command has 6 to 16 bytes';
    const size = Math.max(dataIn, dataOut?.length ?? 0);
    if (!Number.isInteger(dataIn) || dataIn < 0 || size > MAX_TRANSFER) {
      return `${size} bytes are more than one command may transfer`;
    }
    if (dataIn > 0 && dataOut !== undefined && dataOut.length > 0)
      return 'a command transfers in one direction';
    return undefined;
  }

  #error(
    kind: 'invalid-argument' | 'protocol' | 'target-error',
    cause: string,
    of: { readonly lun?: number | undefined; readonly command?: string } = {},
  ): IscsiError {
    return new IscsiError(kind, { ...of, step: 'command', portal: this.portal, target: this.target }, cause);
  }

  /** A command that can be sent again: after unit attentions at once, to a busy unit after a pause. */
  async #ask(lun: number, block: Uint8Array, dataIn = 0): Promise<Uint8Array> {
    for (let attentions = 0, busy = 0; ; ) {
      try {
        return await this.command(lun, block, { dataIn });
      } catch (error) {
        if (isAttention(error) && attentions < MAX_ATTENTIONS) attentions++;
        else if (isBusy(error) && busy < MAX_BUSY) {
          busy++;
          await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE * busy));
        } else throw error;
      }
    }
  }

  /** An optional command: undefined when the unit does not have it, now and the next time. */
  async #optional(
    lun: number,
    name: string,
    ask: () => Promise<Uint8Array>,
  ): Promise<Uint8Array | undefined> {
    const key = `${lun} ${name}`;
    if (this.#refusals.has(key)) return undefined;
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ScsiError && error.unsupported)) throw error;
      this.#refusals.set(key, error);
      return undefined;
    }
  }

  /**
   * The LUNs that the target shows us (REPORT LUNS, SPC-4 section 6.33), however
   * many. Asked at LUN 0, which need not exist.
   */
  async reportLuns(): Promise<readonly LunEntry[]> {
    let data = await this.#ask(0, cdb.reportLuns(4096), 4096);
    const whole = Math.min(lunListLength(data), 8 + 8 * 65536);
    if (whole > data.length && data.length === 4096) {
      data = await this.#ask(0, cdb.reportLuns(whole), whole);
    }
    if (data.length < 8) throw this.#error('protocol', 'the answer to REPORT LUNS is too short');
    const entries = parseLunList(data);
    for (const { lun, raw } of entries) {
      if (lun !== undefined) this.#spelling.set(lun, Buffer.from(raw, 'hex'));
    }
    return entries;
  }

  /** Standard INQUIRY data (SPC-4 section 6.6). Answered even where no unit is: see `peripheralQualifier`. */
  async inquiry(lun: number): Promise<StandardInquiry> {
    return parseInquiry(await this.#ask(lun, cdb.inquiry(36), 36));
  }

  /** One vital product data page with its header, whole however long it is. */
  async vitalProductData(lun: number, page: number): Promise<Uint8Array> {
    let data = await this.#ask(lun, cdb.inquiry(255, page), 255);
    const whole = vpd.pageLength(data);
    if (whole > 255 && data.length === 255) data = await this.#ask(lun, cdb.inquiry(whole, page), whole);
    // Some units answer a page that they do not have with their standard data.
    if (data.length < 4 || data[1] !== page) {
      throw this.#error(
        'protocol',
        `the answer to INQUIRY is not page ${page.toString(16).padStart(2, '0')}h`,
        { lun },
      );
    }
    return data.subarray(0, Math.min(whole, data.length));
  }

  async #optionalPage(lun: number, page: number): Promise<Uint8Array | undefined> {
    return this.#optional(lun, `page ${page}`, () => this.vitalProductData(lun, page));
  }

  /** Numbers of the pages that the unit has (page 00h). */
  async supportedPages(lun: number): Promise<readonly number[]> {
    return vpd.parseSupportedPages(await this.vitalProductData(lun, vpd.PAGE.supported));
  }

  /** Page 80h; undefined when the unit has no such page or leaves it blank. */
  async unitSerialNumber(lun: number): Promise<string | undefined> {
    const page = await this.#optionalPage(lun, vpd.PAGE.serialNumber);
    return page && vpd.parseSerialNumber(page);
  }

  /** Page 83h; empty when the unit has no such page. */
  async designators(lun: number): Promise<readonly vpd.Designator[]> {
    const page = await this.#optionalPage(lun, vpd.PAGE.identification);
    return page === undefined ? [] : vpd.parseDesignators(page);
  }

  /** Page B0h; undefined when the unit has no such page. */
  async blockLimits(lun: number): Promise<vpd.BlockLimits | undefined> {
    const page = await this.#optionalPage(lun, vpd.PAGE.blockLimits);
    return page && vpd.parseBlockLimits(page);
  }

  /** READ CAPACITY(16), or (10) where the unit does not have it. */
  async readCapacity(lun: number): Promise<Capacity> {
    const long = await this.#optional(lun, 'READ CAPACITY(16)', () =>
      this.#ask(lun, cdb.readCapacity16(32), 32),
    );
    const capacity =
      long === undefined
        ? parseCapacity10(await this.#ask(lun, cdb.readCapacity10(), 8))
        : parseCapacity16(long);
    if (capacity === undefined)
      throw this.#error('protocol', 'the answer to READ CAPACITY makes no sense', { lun });
    return capacity;
  }

  /** Whether the unit would carry out a command on its medium now; rejects with why not. */
  async testUnitReady(lun: number): Promise<void> {
    await this.#ask(lun, cdb.testUnitReady());
  }

  /** The WP bit of MODE SENSE (SBC-3 section 6.5.1); undefined when the unit does not say. */
  async isWriteProtected(lun: number): Promise<boolean | undefined> {
    const short = await this.#optional(lun, 'MODE SENSE(6)', () => this.#ask(lun, cdb.modeSense6(192), 192));
    if (short !== undefined && short.length >= 3) return ((short[2] ?? 0) & 0x80) !== 0;
    const long = await this.#optional(lun, 'MODE SENSE(10)', () => this.#ask(lun, cdb.modeSense10(192), 192));
    return long === undefined || long.length < 4 ? undefined : ((long[3] ?? 0) & 0x80) !== 0;
  }

  /** Keys that hosts registered for persistent reservations (PERSISTENT RESERVE IN, READ KEYS). */
  async registeredKeys(lun: number): Promise<RegisteredKeys> {
    let data = await this.#ask(lun, cdb.persistentReserveIn(0, 2048), 2048);
    const whole = Math.min(reservationDataLength(data), 65528);
    if (whole > data.length) data = await this.#ask(lun, cdb.persistentReserveIn(0, whole), whole);
    return parseRegisteredKeys(data);
  }

  /** The persistent reservation that is held, if any (PERSISTENT RESERVE IN, READ RESERVATION). */
  async reservation(lun: number): Promise<Reservation | undefined> {
    return parseReservation(await this.#ask(lun, cdb.persistentReserveIn(1, 24), 24));
  }

  /** Refuses what would not fit into the command, and so would reach other blocks than those that were meant. */
  #checkBlocks(lun: number, lba: bigint, blocks: number): void {
    const counted = Number.isInteger(blocks) && blocks >= 0 && blocks <= 0xffffffff;
    if (counted && lba >= 0n && lba + BigInt(blocks) <= 2n ** 64n) return;
    throw this.#error('invalid-argument', `there are no ${blocks} blocks from block ${lba} on`, { lun });
  }

  /** READ(16) of whole blocks. Rejects with `protocol` when the unit sends less without an error. */
  async read(lun: number, lba: bigint, blocks: number, blockSize: number): Promise<Uint8Array> {
    this.#checkBlocks(lun, lba, blocks);
    const size = blocks * blockSize;
    const data = await this.#ask(lun, cdb.read16(lba, blocks), size);
    if (data.length !== size) {
      throw this.#error('protocol', `READ(16) returned ${data.length} bytes instead of ${size}`, { lun });
    }
    return data;
  }

  /** WRITE(16) of whole blocks. Sent again only after a power-on or reset, before which nothing was written. */
  async write(lun: number, lba: bigint, data: Uint8Array, blockSize: number): Promise<void> {
    if (data.length === 0 || data.length % blockSize !== 0) {
      throw this.#error('invalid-argument', `${data.length} bytes are no whole blocks of ${blockSize}`);
    }
    this.#checkBlocks(lun, lba, data.length / blockSize);
    const block = cdb.write16(lba, data.length / blockSize);
    for (let attentions = 0; ; attentions++) {
      try {
        await this.command(lun, block, { dataOut: data });
        return;
      } catch (error) {
        if (!isAttention(error) || error.sense?.asc !== POWER_ON_OR_RESET) throw error;
        if (attentions >= MAX_ATTENTIONS) throw error;
      }
    }
  }

  /**
   * Returns once all that was written is on the medium (SYNCHRONIZE CACHE, SBC-3 section 5.22); at once for a
   * unit that has no such command, for it has no cache either.
   */
  async synchronizeCache(lun: number): Promise<void> {
    const long = await this.#optional(lun, 'SYNCHRONIZE CACHE(16)', () =>
      this.#ask(lun, cdb.synchronizeCache16()),
    );
    if (long !== undefined) return;
    await this.#optional(lun, 'SYNCHRONIZE CACHE(10)', () => this.#ask(lun, cdb.synchronizeCache10()));
  }

  /**
   * Logs out, waiting two seconds at most, and closes the connection. Commands
   * that are still under way reject with `closed`. May be called again.
   */
  async close(): Promise<void> {
    await this.#connection.close(CLOSE_TIMEOUT);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Logs in to one target with the initiator's own name and a random ISID (see
 * `randomIsid`), so that it disturbs no session of the same host.
 * @throws {IscsiError}
 */
export async function login(options: ConnectionOptions & { readonly target: string }): Promise<Session> {
  const { connection, target, redirects } = await establish(options, options.target);
  return new Session(connection, target ?? options.target, redirects);
}
