/**
 * Prints where calls can be stopped, as JSON: names by call, in their order, of SRs with `provider=iscsi`, of images,
 * and of merges. The bundle must be made with `--fault-points`, and the call run with `GFS2_SR_FAULT=<name>`.
 */
import { mergeFaultPoints } from '../volume/gc/fault-points.ts';
import { imageFaultPoints } from '../volume/images/fault-points.ts';
import { iscsiFaultPoints } from '../volume/providers/iscsi/fault-points.ts';

const all = { srs: iscsiFaultPoints, images: imageFaultPoints, merges: mergeFaultPoints };
process.stdout.write(`${JSON.stringify(all, undefined, 2)}\n`);
