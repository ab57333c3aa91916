export { type DiscoveredPortal, type DiscoveredTarget, discoverTargets } from './discovery.ts';
export {
  IscsiError,
  type IscsiErrorContext,
  type IscsiErrorKind,
  type IscsiStep,
  ScsiError,
} from './errors.ts';
export type { Chap, ConnectionOptions } from './options.ts';
export { formatPortal, ISCSI_PORT, type Portal } from './portal.ts';
export type { Capacity } from './scsi/capacity.ts';
export type { StandardInquiry } from './scsi/inquiry.ts';
export { decodeLun, encodeLun, type LunEntry } from './scsi/luns.ts';
export type { RegisteredKeys, Reservation } from './scsi/reservations.ts';
export type { Sense } from './scsi/sense.ts';
export type { BlockLimits, Designator } from './scsi/vpd.ts';
export { login, Session, type Transfer } from './session.ts';
