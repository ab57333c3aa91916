/** Making of the files that a catalog consists of. */
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import type { NewSr } from '../catalog/catalog.ts';
import { inTransaction, makeDurable, openDatabase } from '../catalog/database.ts';
import { schema } from '../catalog/schema.ts';

/** Room that the journal has from the start, in bytes: so a full filesystem still lets volumes be destroyed. */
const journalReserve = 262_144;

/** Makes the catalog of an SR without volumes, durably but for its name. */
export function makeEmptyCatalog(file: string, { uuid, name, description, imageFormat }: NewSr): void {
  closeSync(openSync(file, 'wx', 0o600));
  const database = openDatabase(file, 'write');
  try {
    makeDurable(database);
    inTransaction(database, () => {
      database.exec(schema);
      database
        .prepare('INSERT INTO sr (one, uuid, name, description, image_format) VALUES (1, ?, ?, ?, ?)')
        .run(uuid, name, description, imageFormat);
    });
  } finally {
    database.close();
  }
  rmSync(`${file}-journal`, { force: true });
}

/** A journal whose header is of zeros is one with nothing in it. */
export function makeJournal(file: string): void {
  const fd = openSync(file, 'wx', 0o600);
  try {
    writeSync(fd, new Uint8Array(journalReserve));
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
