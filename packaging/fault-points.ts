/**
 * Prints where calls can be stopped, as JSON: names by call, in their order, of SRs with `provider=iscsi`, of images,
 * of merges, and of what is done under running disks. The bundle must be made with `--fault-points`, and the call run
 * with `GFS2_SR_FAULT=<name>`.
 */
import { mergeFaultPoints, runningMergeFaultPoints } from '../volume/gc/fault-points.ts';
import { imageFaultPoints, runningFaultPoints } from '../volume/images/fault-points.ts';
import { iscsiFaultPoints } from '../volume/providers/iscsi/fault-points.ts';

const all = {
  srs: iscsiFaultPoints,
  images: imageFaultPoints,
  merges: mergeFaultPoints,
  running: {
    snapshot: runningFaultPoints['live-snapshot'],
    resize: runningFaultPoints['live-resize'],
    merge: runningMergeFaultPoints,
  },
};
process.stdout.write(`${JSON.stringify(all, undefined, 2)}\n`);
