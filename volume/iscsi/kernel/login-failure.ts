/** What a failed login means, from iscsiadm's exit code and a look at the portal. */
import { connect } from 'node:net';
import { NumberedError, PluginError } from '../../../src/smapi/errors.ts';
import type { Outcome } from './host-command.ts';
import type { KernelTarget, PortalFailure, TargetPortal } from './model.ts';
import { portalName } from './sessions.ts';

/** Why a portal could not be logged in to. */
export type LoginFailureKind =
  | 'authentication'
  | 'refused'
  | 'unreachable'
  | 'timeout'
  | 'hostname'
  | 'target'
  | 'daemon';

/** A portal's failure with its kind. */
export interface LoginFailure extends PortalFailure {
  readonly kind: LoginFailureKind;
}

/** Whether a TCP connection comes about, and if not, why. */
export type Reach = 'open' | 'refused' | 'unreachable' | 'timeout' | 'hostname';

/** iscsiadm's exit codes (open-iscsi, include/iscsi_err.h). */
export const exitCodes = {
  transport: 4,
  login: 5,
  transportTimeout: 8,
  transportNotFound: 12,
  sessionExists: 15,
  daemonCommunication: 18,
  fatalLogin: 19,
  daemonNotConnected: 20,
  noRecords: 21,
  hostNotFound: 23,
  authentication: 24,
  busy: 28,
} as const;

/** Tries to connect to a portal, to tell people what is wrong with it. */
export function reach({ address, port }: TargetPortal, timeout: number): Promise<Reach> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const end = (result: Reach): void => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(timeout, () => end('timeout'));
    socket.on('connect', () => end('open'));
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (code === 'ECONNREFUSED' || code === 'ECONNRESET') end('refused');
      else if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') end('hostname');
      else end(code === 'ETIMEDOUT' ? 'timeout' : 'unreachable');
    });
  });
}

/** How a login ended. */
export interface LoginEnd extends Outcome {
  /** What {@link reach} found. */
  readonly reached: Reach;
}

/** Tells what the end of a login without a session means. */
export function describeFailure(
  { iqn, mutualChap }: Pick<KernelTarget, 'iqn' | 'mutualChap'>,
  portal: TargetPortal,
  initiatorName: string,
  { exitCode, said, reached }: LoginEnd,
): LoginFailure {
  const name = portalName(portal);
  const at = (kind: LoginFailureKind, sentence: string): LoginFailure => ({ portal: name, kind, sentence });
  if (exitCode === exitCodes.authentication) {
    return at(
      'authentication',
      `Portal ${name} does not let this host log in to ${iqn}; check the CHAP users and secrets, and that the target lets in ${initiatorName}.`,
    );
  }
  if (exitCode === exitCodes.daemonNotConnected || exitCode === exitCodes.daemonCommunication) {
    return at(
      'daemon',
      'iscsid does not answer on this host; see "systemctl status iscsid.service", and start it.',
    );
  }
  if (exitCode === exitCodes.transportNotFound) {
    return at('daemon', `open-iscsi has no use for the kernel's iSCSI initiator (${said}); load iscsi_tcp.`);
  }
  if (exitCode === exitCodes.hostNotFound || reached === 'hostname') {
    return at(
      'hostname',
      `The host name of portal ${name} is not known; check this host's name servers, or use an address.`,
    );
  }
  if (exitCode === exitCodes.fatalLogin || exitCode === exitCodes.login) {
    if (mutualChap !== undefined) {
      return at(
        'authentication',
        `The target ${iqn} at portal ${name} did not prove itself, or answered with an error; check incoming_chapuser and incoming_chappassword, and see its log.`,
      );
    }
    return at(
      'target',
      `Portal ${name} answered the login to ${iqn} with an error; see the log of the target, and whether it has this name there.`,
    );
  }
  switch (reached) {
    case 'refused':
      return at('refused', `Portal ${name} refuses connections; check that the target's iSCSI service runs.`);
    case 'unreachable':
      return at(
        'unreachable',
        `No route leads to portal ${name}; check the address and the storage network.`,
      );
    case 'timeout':
      return at(
        'timeout',
        `Portal ${name} does not answer; check the address, the storage network, and firewalls on the way.`,
      );
    default:
      return at(
        'target',
        `The login to ${iqn} at portal ${name} did not succeed${said === '' ? '' : ` (${said})`}; see the logs of iscsid and of the target.`,
      );
  }
}

/** Kinds from the one that says most about what to fix to the one that says least. */
const byWeight: readonly LoginFailureKind[] = [
  'daemon',
  'authentication',
  'target',
  'refused',
  'timeout',
  'unreachable',
  'hostname',
];

/** One error for a login without any session. */
export function toLoginError(failures: readonly LoginFailure[]): Error {
  const [main, ...others] = failures.toSorted((a, b) => byWeight.indexOf(a.kind) - byWeight.indexOf(b.kind));
  if (main === undefined) return new PluginError('InvalidConfiguration', 'The target has no portals.');
  const also = [...new Set(others.map(({ sentence }) => sentence))].filter((each) => each !== main.sentence);
  const shown = also.slice(0, 3).join(' ');
  const message = `${main.sentence}${shown === '' ? '' : ` ${shown}`}${also.length > 3 ? ` ${also.length - 3} other portals failed too.` : ''}`;
  switch (main.kind) {
    case 'daemon':
      return new PluginError('InitiatorMissing', message);
    case 'authentication':
      return new NumberedError(68, 'LoginFailed', message);
    case 'hostname':
      return new NumberedError(140, 'HostNotFound', message);
    case 'target':
      return new PluginError('TargetFailed', message);
    default:
      return new NumberedError(141, 'CannotConnect', message);
  }
}
