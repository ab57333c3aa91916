/** The steps between which a test can stop a repair, as by `kill -9`. */
import { faultPoint } from '../../src/fault-point.ts';

/** In the order in which they are passed; each is named after the last step done. */
export const repairFaultPoints = [
  'repair.built',
  'repair.kept',
  'repair.journal',
  'repair.catalog',
  'repair.rows',
  'repair.settled',
  'repair.file',
  'repair.leaks',
] as const;

/** Dies here when a test asks for it. */
export function stopAt(point: (typeof repairFaultPoints)[number]): void {
  faultPoint(point);
}
