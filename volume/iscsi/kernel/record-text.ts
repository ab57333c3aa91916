/**
 * The text of open-iscsi's records of portals: lines `name = value`, and comments.
 *
 * Source: open-iscsi 2.1.8, usr/idbm.c (idbm_recinfo_config, idbm_rec_write).
 */
import { PluginError } from '../../../src/smapi/errors.ts';
import type { Chap } from '../../device-config.ts';
import type { KernelTarget } from './model.ts';

/** What a record is to say; undefined for a field that it must not have. */
export type RecordFields = Readonly<Record<string, string | undefined>>;

/** The line by which we know a record that we made. open-iscsi drops it when anyone else changes the record. */
const mark = '# Made by gfs2-iscsi-sr, which removes it when the SR is detached.';

/** Bytes of a value that open-iscsi's parser takes; it checks none. */
const valueLimit = 255;

/** Whether we made a record, and nobody has changed it since. */
export function isOurs(text: string): boolean {
  return text.split('\n').includes(mark);
}

/** A record with other fields; of our own where `ours`. */
export function editRecord(text: string, fields: RecordFields, ours: boolean): string {
  const kept = text
    .split('\n')
    .filter((line) => line !== '' && line !== mark)
    .filter((line) => !(fieldName(line) in fields));
  const end = kept.findLastIndex((line) => line.startsWith('# END'));
  const added = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : `${name} = ${value}`,
  );
  const at = end < 0 ? kept.length : end;
  const lines = [...kept.slice(0, at), ...(ours ? [mark] : []), ...added, ...kept.slice(at)];
  return `${lines.join('\n')}\n`;
}

/** The value of a field; undefined where the record has none. */
export function readField(text: string, name: string): string | undefined {
  const line = text.split('\n').findLast((each) => fieldName(each) === name);
  return line?.slice(line.indexOf('=') + 1).trim();
}

/** Seconds for which I/O waits for a lost session: for ever, for an error would cost gfs2 this host. */
export const replacementTimeout = -1;

/** Seconds in which one attempt to log in has to succeed. */
export const loginTimeout = 15;

/**
 * What the record of any portal of a target has to say. All fields of authentication are always there: a
 * user that an earlier configuration left would be used even with authmethod None.
 */
export function fieldsFor({ chap, mutualChap }: Pick<KernelTarget, 'chap' | 'mutualChap'>): RecordFields {
  return {
    'node.session.auth.authmethod': chap === undefined ? 'None' : 'CHAP',
    'node.session.auth.username': chap?.user,
    'node.session.auth.password': chap?.secret,
    'node.session.auth.username_in': mutualChap?.user,
    'node.session.auth.password_in': mutualChap?.secret,
    'node.session.timeo.replacement_timeout': String(replacementTimeout),
    // A lost connection is made anew for as long as it takes.
    'node.session.reopen_max': '0',
    // More would be several sessions over one portal.
    'node.session.nr_sessions': '1',
    'node.session.initial_login_retry_max': '1',
    'node.conn[0].timeo.login_timeout': String(loginTimeout),
    'node.conn[0].timeo.noop_out_interval': '5',
    'node.conn[0].timeo.noop_out_timeout': '5',
  };
}

/**
 * What besides that a record says that we made: nothing may log in with it while the host starts, and of the
 * target's LUNs, which may be hundreds, the kernel gets the SR's alone.
 */
export const ownFields: RecordFields = {
  'node.session.scan': 'manual',
  'node.startup': 'manual',
  'node.conn[0].startup': 'manual',
};

/**
 * Checks that a record can carry what a login needs.
 *
 * @throws PluginError `InvalidConfiguration`, which shows no secret.
 */
export function checkCredentials({ chap, mutualChap }: Pick<KernelTarget, 'chap' | 'mutualChap'>): void {
  if (mutualChap !== undefined && chap === undefined) {
    throw invalid('incoming_chapuser needs chapuser and chappassword too: mutual CHAP has both directions');
  }
  if (mutualChap !== undefined && mutualChap.secret === chap?.secret) {
    throw invalid(
      'chappassword and incoming_chappassword are the same, which CHAP forbids; set another one on the target',
    );
  }
  checkChap(chap, 'chapuser', 'chappassword');
  checkChap(mutualChap, 'incoming_chapuser', 'incoming_chappassword');
}

function checkChap(chap: Chap | undefined, userKey: string, secretKey: string): void {
  if (chap === undefined) return;
  for (const [key, value] of [
    [userKey, chap.user],
    [secretKey, chap.secret],
  ] as const) {
    if (value === '') throw invalid(`${key} is empty`);
    if (Buffer.byteLength(value) > valueLimit) throw invalid(`${key} has more than ${valueLimit} bytes`);
    if (/[\0\n\r]/.test(value)) throw invalid(`${key} has a line break in it, which open-iscsi cannot store`);
    // isspace(3) in the C locale, which strips both ends.
    if (/^[ \t-\r]|[ \t-\r]$/.test(value)) {
      throw invalid(
        `${key} begins or ends with a blank, which open-iscsi cannot store; set another one on the target`,
      );
    }
  }
}

function fieldName(line: string): string {
  return line.startsWith('#') ? '' : (line.split('=', 1)[0] ?? '').trim();
}

function invalid(what: string): PluginError {
  return new PluginError('InvalidConfiguration', `The device-config cannot be used: ${what}.`);
}
