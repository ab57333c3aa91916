import { getSystemErrorMap } from 'node:util';
import { formatPortal, type Portal } from './portal.ts';
import { describeSense, type Sense, statusName } from './scsi/sense.ts';

/** What went wrong, as far as it tells what to do about it. */
export type IscsiErrorKind =
  /** The name of the portal does not resolve. */
  | 'hostname'
  /** Nobody listens on the port. */
  | 'refused'
  /** No way to the address: no route, no such interface, forbidden. */
  | 'unreachable'
  /** No answer within the deadline. */
  | 'timeout'
  /** One side did not accept the other's CHAP name or secret, or the initiator is not permitted. */
  | 'authentication'
  /** The portal does not know the target. */
  | 'no-such-target'
  /** The target sends us from portal to portal. */
  | 'redirect-loop'
  /** The connection or session ended. */
  | 'closed'
  /** The target sent something that iSCSI does not allow. */
  | 'protocol'
  /** The caller's AbortSignal. */
  | 'aborted'
  /** The target says that it cannot serve us now. */
  | 'target-error'
  /** Nothing was sent: the call itself cannot be carried out. */
  | 'invalid-argument';

/** What was being done. */
export type IscsiStep = 'resolve' | 'connect' | 'login' | 'discovery' | 'command' | 'logout';

/** What an {@link IscsiError} is about. */
export interface IscsiErrorContext {
  readonly step: IscsiStep;
  readonly portal?: Portal | undefined;
  readonly target?: string | undefined;
  /** In step `command`: its name, such as `READ(16)`, and the unit that it is for. */
  readonly command?: string | undefined;
  readonly lun?: number | undefined;
}

const DOING: Record<IscsiStep, string> = {
  resolve: 'find the address of',
  connect: 'connect to',
  login: 'log in',
  discovery: 'discover targets',
  command: 'run a command',
  logout: 'log out',
};

function sentence({ step, portal, target, command, lun }: IscsiErrorContext, cause: string): string {
  const where = portal === undefined ? '' : `portal ${formatPortal(portal)}`;
  if (step === 'resolve' || step === 'connect') return `Cannot ${DOING[step]} ${where}: ${cause}`;
  const discovers = step === 'login' && target === undefined;
  const doing =
    command === undefined ? `${DOING[step]}${discovers ? ' for discovery' : ''}` : `run ${command}`;
  const unit = lun === undefined ? 'on' : `on LUN ${lun} of`;
  const whom = target === undefined ? '' : ` ${step === 'login' ? 'to' : unit} ${target}`;
  return `Cannot ${doing}${whom}${where && ` at ${where}`}: ${cause}`;
}

/** Everything that goes wrong below SCSI. The message is one sentence: step, target, portal, cause. */
export class IscsiError extends Error {
  override readonly name = 'IscsiError';
  readonly kind: IscsiErrorKind;
  readonly step: IscsiStep;
  readonly portal?: Portal;
  readonly target?: string;
  /** In step `command`: its name, such as `READ(16)`. */
  readonly command?: string;
  /** In step `command`: the unit; undefined where the command is for the target as a whole. */
  readonly lun?: number;

  constructor(kind: IscsiErrorKind, context: IscsiErrorContext, cause: string) {
    super(sentence(context, cause));
    this.kind = kind;
    this.step = context.step;
    if (context.portal !== undefined) this.portal = context.portal;
    if (context.target !== undefined) this.target = context.target;
    if (context.command !== undefined) this.command = context.command;
    if (context.lun !== undefined) this.lun = context.lun;
  }
}

const UNREACHABLE = new Set([
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EHOSTDOWN',
  'ENONET',
  'EADDRNOTAVAIL',
  'EAFNOSUPPORT',
  'EACCES',
  'EPERM',
  'ENODEV',
]);

/** Which kind of failure an errno of a socket is, and its words. */
export function socketFailure(errno: number): { kind: IscsiErrorKind; cause: string } {
  const [code, words] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, 'unknown error'];
  if (code === 'ECONNREFUSED') return { kind: 'refused', cause: 'connection refused, nothing listens there' };
  if (code === 'ETIMEDOUT') return { kind: 'timeout', cause: 'no answer (ETIMEDOUT)' };
  if (code === 'ECONNRESET' || code === 'EPIPE') {
    return { kind: 'closed', cause: `the target reset the connection (${code})` };
  }
  if (UNREACHABLE.has(code)) return { kind: 'unreachable', cause: `${words} (${code})` };
  if (code === 'EINVAL')
    return { kind: 'invalid-argument', cause: 'this is no address that can be connected to' };
  return { kind: 'closed', cause: `${words} (${code})` };
}

// RFC 7143 section 11.13.5.
const LOGIN_STATUS: Record<number, [IscsiErrorKind, string]> = {
  513: ['authentication', 'the target does not accept our CHAP name and secret, or wants some and got none'],
  514: ['authentication', 'the target does not permit this initiator name'],
  515: ['no-such-target', 'there is no such target'],
  516: ['no-such-target', 'the target was removed and has no new address'],
  517: ['protocol', 'the target wants another version of iSCSI'],
  518: ['target-error', 'the target has no room for another connection'],
  519: ['protocol', 'the target misses a parameter of the login'],
  520: ['target-error', 'the target cannot include us in a session'],
  521: ['target-error', 'the target does not support this type of session'],
  522: ['target-error', 'the target does not know the session'],
  523: ['protocol', 'the target got an invalid request during the login'],
  768: ['target-error', 'the target has an internal error'],
  769: ['target-error', 'the target is not available now'],
  770: ['target-error', 'the target is out of resources'],
};

/** What a login status other than success or redirection means. */
export function loginFailure(status: number): { kind: IscsiErrorKind; cause: string } {
  const known = LOGIN_STATUS[status];
  const number = `login status ${(status >> 8).toString().padStart(2, '0')}${(status & 255).toString(16).padStart(2, '0')}`;
  if (known !== undefined) return { kind: known[0], cause: `${known[1]} (${number})` };
  if (status >> 8 === 2 || status >> 8 === 3) {
    return { kind: 'target-error', cause: `the target refuses the login (${number})` };
  }
  return { kind: 'protocol', cause: `the target answered with an unknown ${number}` };
}

export interface ScsiErrorContext {
  /** The command's name, such as `READ(16)`. */
  readonly command: string;
  readonly lun: number;
  readonly target: string;
  readonly portal: Portal;
}

/** A command that reached the logical unit and was not carried out. */
export class ScsiError extends Error {
  override readonly name = 'ScsiError';
  /** SCSI status byte (SAM-5 section 5.3.1): 2 CHECK CONDITION, 8 BUSY, 0x18 RESERVATION CONFLICT ... */
  readonly status: number;
  /** Key, additional sense code and qualifier; only with CHECK CONDITION. */
  readonly sense?: Sense;
  readonly command: string;
  readonly lun: number;
  readonly target: string;
  readonly portal: Portal;

  constructor(status: number, sense: Sense | undefined, context: ScsiErrorContext) {
    const cause = sense === undefined ? statusName(status) : describeSense(sense);
    const { command, lun, target, portal } = context;
    super(`${command} failed on LUN ${lun} of ${target} at portal ${formatPortal(portal)}: ${cause}`);
    this.status = status;
    if (sense !== undefined) this.sense = sense;
    this.command = command;
    this.lun = lun;
    this.target = target;
    this.portal = portal;
  }

  /** The unit knows no such command, page or field (Illegal Request with 20, 24, 25 or 26). */
  get unsupported(): boolean {
    return this.sense?.key === 5 && [0x20, 0x24, 0x25, 0x26].includes(this.sense.asc);
  }
}
