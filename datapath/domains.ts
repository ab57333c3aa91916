/**
 * Domains, as xapi names them to datapath plugins: a guest by its number, dom0 as `0` or, once for each
 * of its uses, `u0_<use>`.
 */

/** Whether a domain is dom0. */
export function isDom0(domain: string): boolean {
  return domain === '0' || domain.startsWith('u0_');
}

/** Of the domains that have a disk, one that may not have it for writing together with `domain`. */
export function findRival(domains: readonly string[], domain: string): string | undefined {
  // xapi attaches one disk to dom0 for several uses at once; they trust each other.
  return domains.find((other) => other !== domain && !(isDom0(other) && isDom0(domain)));
}

/**
 * The domains that still have a disk after one lets go of it.
 *
 * xenopsd passes an empty name for a guest whose number is already gone; that is the one guest there is,
 * and nobody where several could be meant.
 */
export function withoutDomain(domains: readonly string[], domain: string): readonly string[] {
  const guests = domains.filter((other) => !isDom0(other));
  const leaving = domain === '' && guests.length === 1 ? guests[0] : domain;
  return domains.filter((other) => other !== leaving);
}

/** Names a domain to a person. */
export function describeDomain(domain: string): string {
  return isDom0(domain) ? `the control domain (${domain})` : `domain ${domain}`;
}
