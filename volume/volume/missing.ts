import { NamedError } from '../../src/smapi/errors.ts';

/** The answer to a call about a volume that the SR does not have. */
export function noSuchVolume(key: string): NamedError {
  return new NamedError(
    'Volume_does_not_exist',
    key,
    `The SR has no volume ${JSON.stringify(key.slice(0, 100))}; scan the SR to see what it has.`,
  );
}
