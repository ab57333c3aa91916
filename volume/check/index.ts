/** Checking and repairing of SRs, for the command line. */
export { checkSr } from './check.ts';
export { describeFinding, type Finding, type Report } from './findings.ts';
export { repairSr } from './repair.ts';
