import { addon, type NativeConnection, REPORT, type Reports } from './addon.ts';
import { IscsiError, type IscsiErrorKind, type IscsiStep, loginFailure, socketFailure } from './errors.ts';
import { type ConnectionOptions, DEFAULT_TIMEOUT, nativeArguments } from './options.ts';
import { isScopeless, type Portal } from './portal.ts';
import { commandContext } from './scsi/cdb.ts';

/** What became of a login: a connection that is logged in, or the text of a redirection. */
export type LoginOutcome = { readonly redirect: Uint8Array } | { readonly redirect?: never };

/** Status and bytes of one SCSI command. */
export interface Answer {
  /** SCSI status; negative for an iSCSI response other than "completed at target". */
  readonly status: number;
  /** Data-in when the status is good, else sense data. */
  readonly bytes: Uint8Array;
}

interface Waiter<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

interface PendingCommand {
  readonly lun: number;
  readonly cdb: Uint8Array;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
  /** When it is given up, on the monotonic clock. */
  readonly deadline: number;
}

const seconds = (ms: number) => `${Number((ms / 1000).toFixed(1))} s`;
const NOTHING = new Uint8Array(0);

/**
 * One connection: promises, deadlines and abortion over the native object.
 * Deadlines are kept here and not in libiscsi, which checks its own only when
 * the target sends something.
 */
export class Connection {
  readonly portal: Portal;
  readonly target: string | undefined;
  readonly #options: ConnectionOptions;
  readonly #native: NativeConnection;
  /** In the order in which they were issued, which is that of their deadlines. */
  readonly #commands = new Map<number, PendingCommand>();
  #watch: NodeJS.Timeout | undefined;
  /** LUN and command on their way to the native side: Node-API is slow with many small arrays. */
  readonly #request = new Uint8Array(8 + 16);
  #login: Waiter<LoginOutcome> | undefined;
  #text: Waiter<Uint8Array> | undefined;
  #logout: Waiter<void> | undefined;
  #step: IscsiStep = 'connect';
  #ended: IscsiError | undefined;
  #nextId = 1;
  #flushing = false;

  constructor(options: ConnectionOptions, portal: Portal, target: string | undefined) {
    this.portal = portal;
    this.target = target;
    this.#options = options;
    this.#native = new (addon().Connection)(...nativeArguments(options, target));
  }

  /** Connects to one address of the portal and logs in, within `timeout` ms. */
  open(address: string, timeout: number): Promise<LoginOutcome> {
    const { signal } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<LoginOutcome>();
    const timer = setTimeout(() => {
      this.#end('timeout', `no answer within ${seconds(timeout)}`);
    }, timeout);
    this.#login = { resolve, reject, timer };
    if (signal?.aborted) {
      this.#end('aborted', 'aborted by the caller');
      return promise;
    }
    signal?.addEventListener('abort', this.#abort);
    const at = address.includes(':') ? `[${address}]:${this.portal.port}` : `${address}:${this.portal.port}`;
    const errno = this.#native.connect(Buffer.from(at), this.#report);
    if (errno !== 0) this.#failSocket(errno);
    return promise;
  }

  /** The whole text that a discovery session answers to SendTargets=All. */
  sendTargets(timeout: number): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    this.#step = 'discovery';
    const timer = setTimeout(() => {
      this.#end('timeout', `no answer within ${seconds(timeout)}`);
    }, timeout);
    this.#text = { resolve, reject, timer };
    if (this.#ended !== undefined) this.#rejectAll(this.#ended);
    else this.#native.sendTargets();
    return promise;
  }

  /** Sends one command; many may be under way. Rejects with an IscsiError only. */
  command(
    lun: number,
    address: Uint8Array,
    cdb: Uint8Array,
    dataIn: number,
    dataOut: Uint8Array | undefined,
  ): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    if (this.#ended !== undefined) {
      reject(this.#commandError(this.#ended.kind, this.#because(this.#ended), lun, cdb));
      return promise;
    }
    const id = this.#nextId;
    this.#nextId = (id % 0x7fffffff) + 1;
    this.#commands.set(id, { lun, cdb, resolve, reject, deadline: performance.now() + this.#timeout });
    this.#watch ??= setTimeout(this.#giveUp, this.#timeout);
    this.#request.set(address);
    this.#request.set(cdb, address.length);
    if (!this.#native.command(id, this.#request, cdb.length, dataIn, dataOut ?? NOTHING)) {
      this.#end('closed', 'the connection has ended');
    } else if (!this.#flushing) {
      // One write for all commands that are issued in one go.
      this.#flushing = true;
      queueMicrotask(() => {
        this.#flushing = false;
        this.#native.flush();
      });
    }
    return promise;
  }

  /** Logs out, for as long as that takes but at most `timeout` ms, and ends the connection. Never rejects. */
  async close(timeout: number): Promise<void> {
    if (this.#ended === undefined && this.#logout === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, timeout);
      this.#logout = { resolve, reject: () => resolve(), timer };
      if (this.#native.logout()) await promise;
      clearTimeout(timer);
    }
    this.destroy();
  }

  /** Ends the connection without another word. */
  destroy(): void {
    this.#end('closed', 'the session was closed');
  }

  /** Why the connection is no more. */
  get ended(): IscsiError | undefined {
    return this.#ended;
  }

  get #timeout(): number {
    return this.#options.timeout ?? DEFAULT_TIMEOUT;
  }

  /** One timer for all commands: it looks for those that are due, and sets itself to the next. */
  readonly #giveUp = (): void => {
    this.#watch = undefined;
    const now = performance.now();
    for (const [id, { lun, cdb, reject, deadline }] of this.#commands) {
      if (deadline > now) {
        this.#watch = setTimeout(this.#giveUp, Math.max(1, deadline - now));
        return;
      }
      this.#commands.delete(id);
      this.#native.abandon(id);
      reject(this.#commandError('timeout', `no answer within ${seconds(this.#timeout)}`, lun, cdb));
    }
  };

  readonly #abort = (): void => this.#end('aborted', 'aborted by the caller');

  readonly #report = (reports: Reports): void => {
    for (let i = 0; i < reports.length; i += 4) {
      const number = reports[i + 1] as number;
      const text = reports[i + 2];
      const bytes = (reports[i + 3] as Uint8Array | undefined) ?? NOTHING;
      switch (reports[i]) {
        case REPORT.connected:
          this.#step = 'login';
          break;
        case REPORT.loggedIn:
          this.#step = 'command';
          this.#settle(this.#login)?.resolve({});
          this.#login = undefined;
          break;
        case REPORT.loginRefused:
          this.#refused(number, bytes);
          break;
        case REPORT.text:
          this.#settle(this.#text)?.resolve(bytes);
          this.#text = undefined;
          break;
        case REPORT.command: {
          this.#commands.get(number)?.resolve({ status: text as number, bytes });
          this.#commands.delete(number);
          break;
        }
        case REPORT.loggedOut:
          this.destroy();
          break;
        case REPORT.failed: {
          const [kind = '', phrase = ''] = (text as string).split('\n', 2);
          if (kind === '') this.#failSocket(number);
          else this.#end(kind as IscsiErrorKind, `the target ${phrase}`);
          break;
        }
      }
    }
    if (this.#commands.size === 0) {
      clearTimeout(this.#watch);
      this.#watch = undefined;
    }
  };

  #refused(status: number, text: Uint8Array): void {
    if (status >> 8 === 1) {
      this.#settle(this.#login)?.resolve({ redirect: text });
      this.#login = undefined;
      this.destroy();
      return;
    }
    const { kind, cause } = loginFailure(status);
    this.#end(kind, cause);
  }

  #failSocket(errno: number): void {
    const { kind, cause } = socketFailure(errno);
    if (isScopeless(this.portal.host)) {
      this.#end(kind, `${cause}; a link-local address needs its interface, as in ${this.portal.host}%eth0`);
    } else {
      this.#end(kind, cause);
    }
  }

  #settle<T>(waiter: Waiter<T> | undefined): Waiter<T> | undefined {
    if (waiter !== undefined) clearTimeout(waiter.timer);
    return waiter;
  }

  #because(error: IscsiError): string {
    const cause = error.message.slice(error.message.lastIndexOf(': ') + 2);
    return error.kind === 'closed' || error.kind === 'aborted'
      ? cause
      : `the session ended before (${cause})`;
  }

  #error(kind: IscsiErrorKind, cause: string): IscsiError {
    return new IscsiError(kind, { step: this.#step, portal: this.portal, target: this.target }, cause);
  }

  #commandError(kind: IscsiErrorKind, cause: string, lun: number, cdb: Uint8Array): IscsiError {
    const { portal, target } = this;
    return new IscsiError(kind, { ...commandContext(lun, cdb), portal, target }, cause);
  }

  #end(kind: IscsiErrorKind, cause: string): void {
    if (this.#ended !== undefined) return;
    this.#ended = this.#error(kind, cause);
    this.#options.signal?.removeEventListener('abort', this.#abort);
    this.#native.destroy();
    this.#rejectAll(this.#ended);
  }

  #rejectAll(error: IscsiError): void {
    for (const waiter of [this.#login, this.#text, this.#logout]) {
      clearTimeout(waiter?.timer);
      waiter?.reject(error);
    }
    clearTimeout(this.#watch);
    for (const { lun, cdb, reject } of this.#commands.values()) {
      reject(this.#commandError(error.kind, this.#because(error), lun, cdb));
    }
    this.#login = this.#text = this.#logout = undefined;
    this.#commands.clear();
  }
}
