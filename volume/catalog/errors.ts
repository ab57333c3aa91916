import { NumberedError, PluginError, SmapiError } from '../../src/smapi/errors.ts';

/** Kinds of failure that mean: this host does not reach the SR's catalog, or cannot read it. */
const unreachable = ['SRUnreachable', 'CatalogDamaged', 'CatalogTooNew'];

/** Whether a failure says that the SR as a whole cannot be used now. */
export function isUnreachable(error: unknown): error is PluginError {
  return error instanceof PluginError && unreachable.includes(error.name);
}

/** Whether a failure says that the SR cannot be written, though it may be read. */
export function isNotWritable(error: unknown): error is PluginError {
  return error instanceof PluginError && error.name === 'SRNotWritable';
}

/** Whether a failure says that others have had a lock for too long. */
export function isLockTimeout(error: unknown): boolean {
  return error instanceof PluginError && error.name === 'LockTimeout';
}

/**
 * The catalog of an SR cannot be used until it is repaired.
 *
 * @param what what is wrong, as a sentence without its end.
 * @param uuid of the SR, where it is known.
 */
export function catalogDamaged(what: string, uuid?: string, cause?: unknown): PluginError {
  const command = `gfs2-sr sr repair ${uuid ?? 'UUID'}`;
  return new PluginError(
    'CatalogDamaged',
    `${what}; run "${command}" with the SR attached to see how it would be repaired, and with --yes to repair it.`,
    { cause },
  );
}

/** Whether a failure says that an SR's catalog has to be repaired. */
export function isCatalogDamaged(error: unknown): boolean {
  return error instanceof PluginError && error.name === 'CatalogDamaged';
}

/** The SR's storage has no room. Clients have a text for code 44. */
export function noSpace(what: string, folder: string, cause: unknown): NumberedError {
  return new NumberedError(
    44,
    'NoSpace',
    `There is no room for ${what}: the filesystem of ${folder} or the quota on it is full; destroy volumes or enlarge it.`,
    { cause },
  );
}

/**
 * Puts a failure of the filesystem below an SR, or of its catalog, into words.
 *
 * @param what what was to be written, such as `a volume of 4096 bytes`.
 * @param uuid of the SR, where it is known.
 */
export function toStorageError(error: unknown, what: string, folder: string, uuid?: string): Error {
  if (error instanceof SmapiError || !(error instanceof Error)) return error as Error;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall === undefined) return toCatalogError(error, folder, uuid);
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return noSpace(what, folder, error);
    case 'EFBIG':
      return new PluginError(
        'VolumeTooBig',
        `The filesystem of ${folder} has no files as big as ${what}; ask for less.`,
        { cause: error },
      );
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return new PluginError(
        'SRNotWritable',
        `Nothing can be written in ${folder} (${code}); make it writable and look into the kernel's log for errors of its filesystem.`,
        { cause: error },
      );
    default:
      return new PluginError(
        'StorageFailed',
        `The storage of ${folder} failed on ${what}: ${error.message}; see that the SR's files are all there, and look into the kernel's log.`,
        { cause: error },
      );
  }
}

// SQLite's primary result codes.
const SQLITE_READONLY = 8;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;

/** Whether SQLite had no room for a change. */
export function isFull(error: unknown): boolean {
  return ((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_FULL;
}

/** Puts a failure of SQLite into words; other errors stay what they are. */
export function toCatalogError(error: unknown, folder: string, uuid?: string): Error {
  const { errcode } = error as { errcode?: number };
  if (!(error instanceof Error) || error instanceof SmapiError || errcode === undefined)
    return error as Error;
  const cause = { cause: error };
  switch (errcode & 0xff) {
    case SQLITE_FULL:
      return noSpace('a change of the catalog', folder, error);
    case SQLITE_READONLY:
      return new PluginError(
        'SRNotWritable',
        `The catalog in ${folder} cannot be written; make it writable and look into the kernel's log for errors of its filesystem.`,
        cause,
      );
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return catalogDamaged(`The catalog in ${folder} is damaged (${error.message})`, uuid, error);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return new PluginError(
        'SRUnreachable',
        `The catalog in ${folder} cannot be read or written (${error.message}); look into the kernel's log for errors of its filesystem.`,
        cause,
      );
    default:
      return new PluginError('CatalogFailed', `The catalog in ${folder} failed: ${error.message}.`, cause);
  }
}
