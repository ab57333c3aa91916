/**
 * Prints where the calls of `provider=iscsi` can be stopped, as JSON: names by call, in their order. The
 * bundle must be made with `--fault-points`, and the call run with `GFS2_SR_FAULT=<name>`.
 */
import { iscsiFaultPoints } from '../volume/providers/iscsi/fault-points.ts';

process.stdout.write(`${JSON.stringify(iscsiFaultPoints, undefined, 2)}\n`);
