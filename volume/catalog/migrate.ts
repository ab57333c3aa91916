import type { DatabaseSync } from 'node:sqlite';
import { cbtMetadataTable, mergesTable, replacementsTable, schemaVersion } from './schema.ts';

/** What makes a catalog of version n + 1 of one of version n, from version 1 on. */
const steps: readonly string[] = [
  `
    ALTER TABLE sr ADD COLUMN image_format TEXT NOT NULL DEFAULT 'raw';
    ALTER TABLE intents ADD COLUMN lasting INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE volumes ADD COLUMN cbt_enabled INTEGER NOT NULL DEFAULT 0;
    ${cbtMetadataTable}
    ${mergesTable}
  `,
  replacementsTable,
];

/** Brings the tables of an earlier version up to date, within the caller's transaction. */
export function migrate(database: DatabaseSync, version: number): void {
  for (const step of steps.slice(version - 1)) database.exec(step);
  database.exec(`PRAGMA user_version = ${schemaVersion}`);
}
