import { Diagnosis, type Evidence } from './diagnosis.ts';
import { findLost } from './lost.ts';
import { compareParents } from './parents.ts';
import { compareStates } from './states.ts';
import { adoptImages } from './unknown-images.ts';
import { assignVolumes } from './volumes.ts';

/**
 * Compares a catalog's rows with the images that are there.
 *
 * @returns what is wrong, and the rows as they are to become.
 */
export function diagnose(evidence: Evidence): Diagnosis {
  const diagnosis = new Diagnosis(evidence);
  adoptImages(diagnosis);
  compareParents(diagnosis);
  assignVolumes(diagnosis);
  findLost(diagnosis);
  compareStates(diagnosis);
  return diagnosis;
}
