import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const native = join(import.meta.dirname, '..');
const modules = join(native, '../node_modules');
const bin = join(modules, '.bin');

/** For other people's programs, which a sanitizer's run-time library need not suit. */
const tools = {
  ...process.env,
  LD_PRELOAD: '',
  PATH: [dirname(process.execPath), bin, process.env.PATH ?? ''].join(delimiter),
};

let scratch: string;
let consumer: string;

// Packed in a copy: others import the package from the project meanwhile.
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'package-'));
  const copy = join(scratch, 'copy');
  cpSync(native, copy, {
    recursive: true,
    filter: (from) => !/\/(?:build|dist|node_modules|test)$/.test(from),
  });
  symlinkSync(modules, join(copy, 'node_modules'));
  execFileSync('npm', ['pack', '--pack-destination', scratch], {
    cwd: copy,
    env: tools,
    stdio: 'ignore',
  });
  consumer = join(scratch, 'consumer');
  const installed = join(consumer, 'node_modules/node-iscsi-initiator');
  mkdirSync(installed, { recursive: true });
  const archive = join(scratch, 'node-iscsi-initiator-0.1.0.tgz');
  execFileSync('tar', ['-xzf', archive, '-C', installed, '--strip-components=1'], { env: tools });
  const addon = join(native, '../build/Release/iscsi_initiator.node');
  cpSync(process.env.ISCSI_INITIATOR_ADDON ?? addon, join(installed, 'build/Release/iscsi_initiator.node'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function write(file: string, text: string): string {
  writeFileSync(join(consumer, file), text);
  return file;
}

const ask = "discoverTargets({ portal: { host: '127.0.0.1', port: 1 }, initiatorName: 'iqn.x:y' })";

test.each([
  ['module.mjs', `import { discoverTargets } from 'node-iscsi-initiator';`],
  ['script.cjs', `const { discoverTargets } = require('node-iscsi-initiator');`],
])('the packed package serves plain JavaScript: %s', (file, load) => {
  write(file, `${load} ${ask}.catch((error) => console.log(error.kind));`);
  expect(execFileSync(process.execPath, [file], { cwd: consumer, encoding: 'utf8' })).toBe('refused\n');
});

test('the packed package has types', () => {
  const options = '--noEmit --strict --target es2024 --module nodenext --types node';
  const args = [...options.split(' '), '--typeRoots', join(modules, '@types'), 'typed.mts'];
  write(
    'typed.mts',
    `
    import { login, type Session } from 'node-iscsi-initiator';
    export const size = async (session: Session): Promise<bigint> => (await session.readCapacity(1)).bytes;
    // @ts-expect-error: a login needs more
    void login({ target: 'iqn.x:y' });`,
  );
  const said = execFileSync('tsc', args, { cwd: consumer, env: tools, encoding: 'utf8' });
  expect(said).toBe('');
});
