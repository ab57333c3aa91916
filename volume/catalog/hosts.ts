/** Rows of the hosts that have a shared SR attached. */
import type { DatabaseSync } from 'node:sqlite';

/** A host that has attached the SR, and not detached it since; it may have died. */
export interface SrHost {
  /** As xapi knows it; see hostUuid. */
  readonly uuid: string;
  /** In the cluster. */
  readonly nodeId: number;
  readonly name: string;
  /** By which the array knows it, in lower case. */
  readonly initiatorName: string;
  /** Bytes of the LUN as this host saw it when it last looked. */
  readonly lunSize: bigint;
}

/** All hosts. */
export function listHosts(database: DatabaseSync): readonly SrHost[] {
  const statement = database.prepare(
    'SELECT uuid, node_id AS nodeId, name, initiator_name AS initiatorName, lun_size AS lunSize FROM hosts',
  );
  statement.setReadBigInts(true);
  const rows = statement.all() as unknown as (Omit<SrHost, 'nodeId'> & { nodeId: bigint })[];
  return rows.map((row) => ({ ...row, nodeId: Number(row.nodeId) }));
}

/** Adds a host, or replaces what was known of it; a number in the cluster is one host's. */
export function recordHost(database: DatabaseSync, host: SrHost): void {
  database.prepare('DELETE FROM hosts WHERE node_id = ? AND uuid <> ?').run(host.nodeId, host.uuid);
  database
    .prepare(
      'INSERT OR REPLACE INTO hosts (uuid, node_id, name, initiator_name, lun_size) VALUES (?, ?, ?, ?, ?)',
    )
    .run(host.uuid, host.nodeId, host.name, host.initiatorName, host.lunSize);
}

/** Removes a host. */
export function removeHost(database: DatabaseSync, uuid: string): void {
  database.prepare('DELETE FROM hosts WHERE uuid = ?').run(uuid);
}
