import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { discoverTargets, IscsiError, login } from '../lib/index.ts';
import { type Recording, record, replay } from './fake-target.ts';
import { descriptors, expectNoLeak, failure, INITIATOR } from './helpers.ts';
import { startTgtd, type Tgtd } from './tgtd.ts';

const TARGET = 'iqn.2026-01.test.array:recorded';
type Where = { host: string; port: number };

const common = { initiatorName: INITIATOR, headerDigest: 'none', timeout: 2_000 } as const;
const chap = { user: 'host', secret: 'initiator-secret' };

/** What a probe does, one request after the other, so that answers come in the recorded order. */
async function probe(portal: Where, timeout: number = common.timeout): Promise<unknown> {
  await using session = await login({ ...common, portal, timeout, target: TARGET, chap });
  return [
    await session.reportLuns(),
    await session.inquiry(1),
    await session.designators(1),
    await session.readCapacity(1),
    await session.isWriteProtected(1),
    await session.registeredKeys(1),
    await session.read(1, 0n, 4, 512),
  ];
}
async function enter(portal: Where): Promise<void> {
  await using _session = await login({ ...common, portal, target: TARGET, chap });
}
const discover = (portal: Where, timeout: number = common.timeout) =>
  discoverTargets({ ...common, portal, timeout });

let tgtd: Tgtd;
let discovery: Recording;
let entering: Recording;
let probing: Recording;
let found: unknown;

beforeAll(async () => {
  tgtd = await startTgtd();
  const tid = await tgtd.addTarget(TARGET);
  await tgtd.addLun(tid, { lun: 1, size: 1 << 20 });
  await tgtd.addChap(tid, chap.user, chap.secret);
  discovery = await record(tgtd, (portal) => discover(portal));
  found = await probe(tgtd.portal);
  entering = await record(tgtd, enter);
  probing = await record(tgtd, (portal) => probe(portal));
});

afterAll(() => tgtd?.stop());

const size = (recording: Recording) => recording.answers.reduce((sum, { length }) => sum + length, 0);

test('a recording played to its end is as good as the target', async () => {
  await using fake = await replay(probing, (all) => ({ bytes: all, end: 'stay' }));
  expect(await probe(fake.portal)).toEqual(found);
});

describe.each(['close', 'reset'] as const)('a target that ends by a %s', (end) => {
  test.each<[string, () => Recording, (portal: Where) => Promise<unknown>, number]>([
    ['every byte of discovery', () => discovery, discover, 1],
    ['every byte of a login with CHAP', () => entering, enter, 1],
    ['every 29th byte of a probe', () => probing, probe, 29],
  ])('at %s', async (_, recorded, use, stride) => {
    const before = descriptors();
    const recording = recorded();
    const total = size(recording);
    // After the last answer but one, all that is missing is the logout.
    const enough = total - (recording.answers.at(-1)?.length ?? 0);
    const kinds = new Set<string>();
    await using fake = await replay(recording, (all, index) => ({
      bytes: all.subarray(0, index * stride),
      end,
    }));
    for (let cut = 0; cut < total; cut += stride) {
      if (cut < enough) kinds.add((await failure(use(fake.portal))).kind);
      else await use(fake.portal);
    }
    expect([...kinds]).toEqual(['closed']);
    await fake.idle();
    // The fake itself listens.
    await expectNoLeak(before + 1);
  });
});

describe('a target whose bytes are changed', () => {
  // A small generator of known numbers, so that a failure can be repeated.
  function* random(seed: number): Generator<number, never> {
    let state = seed;
    for (;;) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      yield state / 2 ** 32;
    }
  }

  test.each<[string, () => Recording, (portal: Where, timeout: number) => Promise<unknown>]>([
    ['discovery', () => discovery, discover],
    ['a probe', () => probing, probe],
  ])('in %s: one error or an answer, in time, and no crash', async (_, recorded, use) => {
    const before = descriptors();
    const numbers = random(20260101);
    const pick = (below: number) => Math.floor(numbers.next().value * below);
    for (let round = 0; round < 250; round++) {
      await using fake = await replay(recorded(), (all) => {
        for (let changes = 1 + pick(4); changes > 0; changes--) {
          const at = pick(all.length);
          all[at] = [0, 0xff, 0x80, pick(256), (all[at] ?? 0) ^ (1 << pick(8))][pick(5)] ?? 0;
        }
        return { bytes: pick(4) === 0 ? all.subarray(0, pick(all.length)) : all, end: 'close' };
      });
      await use(fake.portal, 100).catch((error: unknown) => {
        if (error instanceof IscsiError) expect(error.message).toMatch(/^Cannot [^\n\0]+$/);
        else expect(error).toMatchObject({ name: 'ScsiError' });
      });
    }
    await expectNoLeak(before);
  });
});
