/** Keys that hosts registered for persistent reservations: READ KEYS (SPC-4 section 6.15.2). */
export interface RegisteredKeys {
  /** Counts every change of registrations, modulo 2^32. */
  readonly generation: number;
  /** One for each registration: 16 hex digits. A key that several paths registered is there several times. */
  readonly keys: readonly string[];
}

/** A persistent reservation that is held: READ RESERVATION (SPC-4 section 6.15.3). */
export interface Reservation {
  /** 16 hex digits; all zero for the all-registrants types. */
  readonly key: string;
  /** 1 write exclusive, 3 exclusive access, 5 and 6 the same for registrants only, 7 and 8 for all registrants. */
  readonly type: number;
}

/** Bytes of parameter data in all. */
export function reservationDataLength(data: Uint8Array): number {
  return data.length < 8 ? 0 : 8 + Buffer.from(data).readUInt32BE(4);
}

/** READ KEYS data. */
export function parseRegisteredKeys(data: Uint8Array): RegisteredKeys {
  const view = Buffer.from(data);
  if (view.length < 8) return { generation: 0, keys: [] };
  const end = Math.min(view.length, reservationDataLength(view));
  const keys: string[] = [];
  for (let at = 8; at + 8 <= end; at += 8) keys.push(view.toString('hex', at, at + 8));
  return { generation: view.readUInt32BE(0), keys };
}

/** READ RESERVATION data; undefined when there is none. */
export function parseReservation(data: Uint8Array): Reservation | undefined {
  const view = Buffer.from(data);
  if (view.length < 24 || reservationDataLength(view) < 24) return undefined;
  return { key: view.toString('hex', 8, 16), type: view.readUInt8(21) & 15 };
}
