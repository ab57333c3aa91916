import { describe, expect, it } from 'vitest';
import { findRival, withoutDomain } from './domains.ts';

describe('findRival', () => {
  it.each([
    [['5'], '5', undefined],
    [['5'], '6', '5'],
    [['5'], '0', '5'],
    [['u0_a'], '5', 'u0_a'],
    [['u0_a', 'u0_b'], '0', undefined],
  ])('of %j for %s is %s', (domains, domain, rival) => {
    expect(findRival(domains, domain)).toBe(rival);
  });
});

describe('withoutDomain', () => {
  it.each([
    [['5'], '5', []],
    [['5'], '6', ['5']],
    [['u0_a', 'u0_b'], 'u0_a', ['u0_b']],
    // xenopsd no longer knows the number of a guest that is gone.
    [['5'], '', []],
    [['5', '6'], '', ['5', '6']],
    [['u0_a'], '', ['u0_a']],
  ])('takes from %j %j', (domains, domain, rest) => {
    expect(withoutDomain(domains, domain)).toEqual(rest);
  });
});
