/** The array that the probe benchmark looks at. */

/** Its portals, in the namespace of the target and in that of the initiator alike. */
export const portals = ['127.0.0.1:3260', '127.0.0.2:3260'] as const;
export const targetCount = 8;
export const lunCount = 32;

/** The name of a target, from 1 on. */
export function targetName(number: number): string {
  return `iqn.2026-11.org.example:bench-${number}`;
}
