/** Calls as no good caller makes them, generated from a seed: each gets an error it can read, and changes nothing. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plugins } from '../../packaging/plugins.ts';
import { type CallName, calls, type Volume } from '../../src/smapi/interface.ts';
import { formatJson, type Json } from '../../src/smapi/json.ts';
import { dictionary, int64, string } from '../../src/smapi/schema.ts';
import {
  CallFailed,
  entryFile,
  readAnswer,
  runProcess,
  volumeCaller,
  volumePluginFolder,
} from '../support/xapi.ts';

const seed = Number(process.env.SEED ?? 20261125);
const total = 200;

/** Numbers from a seed (xorshift32), so that a failure can be run again. */
class Chance {
  #state: number;

  constructor(from: number) {
    this.#state = from | 1;
  }

  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}

/** JSON text that is not what any parameter here takes, or stands for nothing that is there. */
const hugeNumbers = [
  '1e400',
  '-1e999',
  '9223372036854775808',
  '-9223372036854775809',
  `1${'0'.repeat(5000)}`,
  '1e3',
  '0.5',
];
const pathTricks = [
  '../../../etc/passwd',
  '/etc/passwd',
  '..',
  '.',
  '',
  'images/../catalog.sqlite',
  '../sr',
  'a\0b',
  '%2e%2e%2f',
  '$(touch x)',
  "'; DROP TABLE volumes; --",
  '\ud800',
  'x'.repeat(300_000),
  '00000000-0000-0000-0000-000000000000',
];
const wrongTypes = [
  'null',
  'true',
  '[]',
  '{}',
  '[1,2]',
  '{"a":null}',
  '{"a":{"b":1}}',
  '"\\u0000"',
  '12',
  '-0.0',
];

interface Case {
  readonly what: string;
  readonly entry: string;
  readonly input: string | Uint8Array;
}

describe(`${total} malformed calls (seed ${seed})`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'malformed-'));
  const path = join(folder, 'sr');
  const environment = { GFS2_SR_RUN_DIR: join(folder, 'run') };
  const call = volumeCaller(environment);
  let sr: string;
  let volumes: readonly Volume[];

  beforeAll(async () => {
    mkdirSync(path);
    const configuration = await call('SR.create', {
      uuid: crypto.randomUUID(),
      configuration: { provider: 'path', path },
      name: 'unchanged',
      description: '',
    });
    sr = await call('SR.attach', { configuration });
    for (const size of [1n, 1n << 20n]) {
      await call('Volume.create', { sr, name: 'v', description: '', size, sharable: false });
    }
    volumes = await call('SR.ls', { sr });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Everything that an SR is: its files and their bytes. */
  function picture(): Json {
    return readdirSync(path, { recursive: true, encoding: 'utf8' })
      .sort()
      .map((name) => {
        const file = join(path, name);
        const stat = statSync(file, { bigint: true });
        return [name, stat.ino, stat.isFile() ? readFileSync(file, 'latin1') : ''];
      });
  }

  function generate(chance: Chance): Case {
    // SR.probe has its own tests: what it is given here would make it ask networks.
    const implemented = (
      Object.keys(plugins.find(({ kind }) => kind === 'volume')?.calls ?? {}) as CallName[]
    ).filter((name) => name !== 'SR.probe');
    const name = chance.of(implemented);
    const parameters = Object.entries(calls[name].parameters);
    const texts = new Map(
      parameters.map(([parameter, schema]): [string, string] => {
        if (parameter === 'sr') return [parameter, JSON.stringify(sr)];
        if (parameter === 'key') return [parameter, JSON.stringify(chance.of(volumes).key)];
        if (schema === dictionary)
          return [parameter, JSON.stringify({ provider: 'path', path, sr_uuid: sr })];
        if (schema === string) return [parameter, '"x"'];
        return [parameter, schema === int64 ? '4096' : 'true'];
      }),
    );
    const whole = (): string =>
      `{${[...texts].map(([key, text]) => `${JSON.stringify(key)}:${text}`).join(',')}}`;
    const entry = entryFile(volumePluginFolder, name);
    const [victim, schema] = chance.of(parameters);
    switch (chance.below(10)) {
      case 0: {
        const text = whole();
        return { what: `${name} cut short`, entry, input: text.slice(0, chance.below(text.length)) };
      }
      case 1:
        texts.delete(victim);
        return { what: `${name} without ${victim}`, entry, input: whole() };
      case 2: {
        const fitting = schema === string ? ['"\\u0000"'] : schema === dictionary ? ['{}'] : ['12', 'true'];
        const text = chance.of(wrongTypes.filter((wrong) => !fitting.includes(wrong)));
        texts.set(victim, text);
        return { what: `${name} with ${victim}=${text}`, entry, input: whole() };
      }
      case 3: {
        const text = chance.of(hugeNumbers);
        texts.set(victim, text);
        return { what: `${name} with ${victim}=${text.slice(0, 30)}`, entry, input: whole() };
      }
      case 4:
      case 7:
      case 8:
      case 9: {
        const trick = chance.of(pathTricks);
        const shown = JSON.stringify(trick.slice(0, 30));
        if (schema === dictionary) {
          texts.set(victim, JSON.stringify({ provider: 'path', path: trick, sr_uuid: sr }));
          return { what: `${name} with path=${shown}`, entry, input: whole() };
        }
        const names = parameters.map(([parameter]) => parameter);
        // To detach or destroy what is not there is a success.
        const target = ['key', 'sr', 'uuid'].find(
          (parameter) =>
            names.includes(parameter) &&
            name !== 'SR.detach' &&
            !(name === 'Volume.destroy' && parameter === 'key'),
        );
        if (target === undefined) break;
        texts.set(target, JSON.stringify(trick));
        return { what: `${name} with ${target}=${shown}`, entry, input: whole() };
      }
      case 5: {
        const bytes = Buffer.from(whole());
        bytes[chance.below(bytes.length)] = 0xff;
        return { what: `${name} with a byte that is not UTF-8`, entry, input: bytes };
      }
      default:
        break;
    }
    const text = chance.of([
      '',
      ' ',
      '[]',
      '"x"',
      '{',
      '{"dbg":',
      `${'['.repeat(20_000)}`,
      '{}{}',
      'nul',
      `${whole()} x`,
    ]);
    return { what: `${name} with ${JSON.stringify(text.slice(0, 20))} for a request`, entry, input: text };
  }

  it('each give a well-formed error and leave the SR as it was', async () => {
    const chance = new Chance(seed);
    const before = picture();
    const cases = Array.from({ length: total }, () => generate(chance));
    const check = async ({ what, entry, input }: Case): Promise<void> => {
      const ended = await runProcess(entry, ['--json'], input, environment);
      let failure: unknown;
      try {
        readAnswer('Plugin.diagnostics', ended);
      } catch (error) {
        failure = error;
      }
      expect(failure, `${what}: ${ended.stdout}${ended.stderr}`).toBeInstanceOf(CallFailed);
      expect((failure as CallFailed).params.length, what).toBeGreaterThanOrEqual(2);
      expect(ended, what).toMatchObject({ exitCode: 1, stderr: '' });
      expect(ended.stdout.trimEnd(), what).not.toContain('\n');
    };
    for (let index = 0; index < cases.length; index += 4)
      await Promise.all(cases.slice(index, index + 4).map(check));
    expect(formatJson(picture())).toBe(formatJson(before));
    expect(await call('SR.ls', { sr })).toEqual(volumes);
    expect(await call('SR.stat', { sr })).toMatchObject({ name: 'unchanged', health: ['Healthy', ''] });
    expect(readdirSync(folder).sort()).toEqual(['run', 'sr']);
  });
});
