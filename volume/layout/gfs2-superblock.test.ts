import { execFileSync } from 'node:child_process';
import { mkdtempSync, openSync, readSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { decodeSuperblock, superblockLength, superblockOffset, withLockTable } from './gfs2-superblock.ts';

const directory = mkdtempSync(join(tmpdir(), 'superblock-'));
afterAll(() => rmSync(directory, { recursive: true }));

function format(...options: readonly string[]): Uint8Array {
  const file = join(directory, 'image');
  writeFileSync(file, '');
  truncateSync(file, 64 * 1024 * 1024);
  execFileSync('mkfs.gfs2', ['-O', '-q', '-j', '1', '-J', '8', ...options, file], { stdio: 'ignore' });
  const block = new Uint8Array(superblockLength);
  readSync(openSync(file, 'r'), block, 0, block.length, superblockOffset);
  return block;
}

it('reads what mkfs.gfs2 wrote', () => {
  const uuid = '3e6bd05e-7d3a-4f18-8b93-5f1f4bb04a2e';
  const block = format('-p', 'lock_dlm', '-t', 'pool-a:sr1', '-U', uuid);
  expect(decodeSuperblock(block)).toEqual({
    blockSize: 4096,
    lockProtocol: 'lock_dlm',
    lockTable: 'pool-a:sr1',
    uuid,
  });
});

it('gets another lock table, as tunegfs2 reads it too', () => {
  const block = withLockTable(
    format('-p', 'lock_dlm', '-t', 'pool-a:a-long-name-of-a-lock-table'),
    'pool-b:sr2',
  );
  expect(decodeSuperblock(block)?.lockTable).toBe('pool-b:sr2');
  const file = join(directory, 'image');
  writeSync(openSync(file, 'r+'), block, 0, block.length, superblockOffset);
  expect(execFileSync('tunegfs2', ['-l', file], { encoding: 'utf8' })).toMatch(/pool-b:sr2$/m);
});

it('reads a filesystem of one host, with small blocks', () => {
  const superblock = decodeSuperblock(format('-p', 'lock_nolock', '-b', '1024'));
  expect(superblock).toMatchObject({ blockSize: 1024, lockProtocol: 'lock_nolock', lockTable: '' });
});

it('sees no gfs2 where there is none', () => {
  const block = format('-p', 'lock_nolock');
  expect(decodeSuperblock(new Uint8Array(superblockLength))).toBeUndefined();
  expect(decodeSuperblock(block.subarray(0, 200))).toBeUndefined();
  expect(decodeSuperblock(block.fill(0, 0, 4))).toBeUndefined();
});
