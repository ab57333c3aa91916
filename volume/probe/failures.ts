/** Failures of a probe: from what went wrong at each portal to one error that clients understand. */
import type { IscsiErrorKind } from 'node-iscsi-initiator';
import { IscsiError } from 'node-iscsi-initiator';
import { NumberedError, PluginError, SmapiError } from '../../src/smapi/errors.ts';

/** Error kinds from the one that says most about what to fix to the one that says least. */
const byWeight: readonly IscsiErrorKind[] = [
  'authentication',
  'invalid-argument',
  'no-such-target',
  'target-error',
  'redirect-loop',
  'protocol',
  'closed',
  'refused',
  'timeout',
  'aborted',
  'unreachable',
  'hostname',
];

/** What a failure says, on one line and with no full stop. */
export function sentenceOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const own = message.replace('aborted by the caller', 'the time for the whole probe was over');
  return own.replaceAll(/\s+/g, ' ').replace(/\.$/, '');
}

/**
 * Makes one error of all that failed, with a code for which clients have a text where there is one: 140
 * (the host name), 141 (cannot connect), 68 (login or CHAP).
 *
 * @param failures at least one.
 * @param initiatorName what this host calls itself, which the array must know.
 */
export function toProbeError(failures: readonly unknown[], initiatorName: string): Error {
  const ours = failures.find((error) => error instanceof SmapiError);
  if (ours !== undefined) return ours;
  const iscsi = failures.filter((error) => error instanceof IscsiError);
  const [main] = iscsi.toSorted((a, b) => byWeight.indexOf(a.kind) - byWeight.indexOf(b.kind));
  if (main === undefined) {
    return new PluginError('ProbeFailed', `${sentences(failures)}; see the log of the array.`, {
      cause: failures[0],
    });
  }
  const all = sentences([main, ...iscsi.filter((error) => error !== main)]);
  const options = { cause: main };
  switch (main.step === 'resolve' && main.kind === 'timeout' ? 'hostname' : main.kind) {
    case 'authentication':
      return new NumberedError(
        68,
        'LoginFailed',
        `${all}; check chapuser and chappassword (with mutual CHAP also incoming_chapuser and incoming_chappassword), and that the array lets in ${initiatorName}.`,
        options,
      );
    case 'hostname':
      return new NumberedError(
        140,
        'HostNotFound',
        `${all}; check the name in ips and the name servers of this host, or give an address.`,
        options,
      );
    case 'refused':
      return new NumberedError(
        141,
        'CannotConnect',
        `${all}; check the address and port, and that the array's iSCSI service runs.`,
        options,
      );
    case 'timeout':
    case 'unreachable':
    case 'aborted':
      if (main.step === 'command') {
        return new NumberedError(
          141,
          'CannotConnect',
          `${all}; see the log of the array, and check that packets of the full MTU pass the storage network.`,
          options,
        );
      }
      return new NumberedError(
        141,
        'CannotConnect',
        `${all}; check the address, the storage network, and firewalls on the way.`,
        options,
      );
    case 'closed':
    case 'protocol':
      return new NumberedError(
        141,
        'CannotConnect',
        `${all}; check that an iSCSI target listens there, and see its log.`,
        options,
      );
    case 'no-such-target':
      return new PluginError(
        'NoSuchTarget',
        `${all}; probe without iqns to see the targets that are there.`,
        options,
      );
    case 'redirect-loop':
    case 'target-error':
      return new PluginError('TargetFailed', `${all}; see the log of the array.`, options);
    default:
      return new PluginError('InvalidConfiguration', `${all}.`, options);
  }
}

/** What went wrong, in one part of a sentence that a person can still read. */
export function sentences(failures: readonly unknown[]): string {
  const distinct = [...new Set(failures.map(sentenceOf))];
  return enumerate(
    distinct.map((text, index) => (index === 0 ? text : text.charAt(0).toLowerCase() + text.slice(1))),
    '; ',
  );
}

/** Joins the first of many things; for the others it says how many there are. */
export function enumerate(things: readonly string[], separator = ' and '): string {
  const shown = things.slice(0, 6).join(separator);
  return things.length > 6 ? `${shown}${separator}${things.length - 6} more` : shown;
}
