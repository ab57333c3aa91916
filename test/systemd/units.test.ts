/** Starting and stopping units, on a real bus with a fake systemd on it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PluginError } from '../../src/smapi/errors.ts';
import { startUnit, stopUnit } from '../../src/systemd/units.ts';
import { type FakeSystemd, type FakeSystemdOptions, startFakeSystemd } from '../support/fake-systemd.ts';

let before: string | undefined;
beforeEach(() => {
  before = process.env.DBUS_SYSTEM_BUS_ADDRESS;
});
afterEach(() => {
  if (before === undefined) delete process.env.DBUS_SYSTEM_BUS_ADDRESS;
  else process.env.DBUS_SYSTEM_BUS_ADDRESS = before;
});

async function systemd(options: FakeSystemdOptions): Promise<FakeSystemd> {
  const fake = await startFakeSystemd(options);
  process.env.DBUS_SYSTEM_BUS_ADDRESS = fake.address;
  return fake;
}

const failureOf = (promise: Promise<void>): Promise<PluginError | undefined> =>
  promise.then(
    () => undefined,
    (error: PluginError) => error,
  );

const inactive = { 'dlm.service': ['loaded', 'inactive', 'dead'] } as const;
const active = { 'dlm.service': ['loaded', 'active', 'running'] } as const;

describe('startUnit', () => {
  it('starts what is inactive, and hears of a job that ended before its path came back (B-15)', async () => {
    await using fake = await systemd({ units: inactive });
    await startUnit('dlm.service');
    expect(fake.calls).toEqual(['Subscribe', 'LoadUnit dlm.service', 'StartUnit dlm.service']);
  });

  it('leaves an active unit alone (B-15)', async () => {
    await using fake = await systemd({ units: active, jobs: 'stuck' });
    await startUnit('dlm.service');
    expect(fake.calls).not.toContain('StartUnit dlm.service');
  });

  it('is content with an active unit when the end of its job is never told (B-15)', async () => {
    await using _ = await systemd({ units: inactive, jobs: 'untold' });
    await startUnit('dlm.service');
  });

  it('gives up at the deadline, and says what the unit is and where to look (B-15)', async () => {
    await using _ = await systemd({ units: inactive, jobs: 'stuck' });
    expect(await failureOf(startUnit('dlm.service', { deadline: 1_500 }))).toMatchObject({
      name: 'UnitFailed',
      message:
        'dlm.service could not be started: systemd has not ended its job within 1.5 s, and it is inactive; see journalctl -u dlm.service.',
    });
  });

  it('says how the job of a unit failed', async () => {
    await using _ = await systemd({ units: inactive, jobs: 'failed' });
    expect((await failureOf(startUnit('dlm.service')))?.message).toBe(
      'dlm.service could not be started: its job ended as failed, and it is failed; see journalctl -u dlm.service.',
    );
  });

  it('gives a unit that has failed a new try', async () => {
    await using fake = await systemd({ units: { 'dlm.service': ['loaded', 'failed', 'failed'] } });
    await startUnit('dlm.service');
    expect(fake.calls.slice(2)).toEqual(['ResetFailedUnit dlm.service', 'StartUnit dlm.service']);
  });

  it('names the package for a unit that is not there, and how to unmask one that is masked', async () => {
    await using _ = await systemd({ units: { 'dlm.service': ['masked', 'inactive', 'dead'] } });
    expect(await failureOf(startUnit('corosync.service'))).toMatchObject({
      name: 'UnitMissing',
      message: expect.stringContaining('There is no corosync.service on this host'),
    });
    expect((await failureOf(startUnit('dlm.service')))?.message).toContain('systemctl unmask dlm.service');
  });

  it('names a system bus that is not there, at once (F-03)', async () => {
    process.env.DBUS_SYSTEM_BUS_ADDRESS = 'unix:path=/nowhere/bus';
    expect(await failureOf(startUnit('dlm.service'))).toMatchObject({
      name: 'SystemdUnavailable',
      message: expect.stringMatching(/dlm\.service could not be started: .*ENOENT.*dbus\.service/),
    });
  });
});

describe('stopUnit', () => {
  it('stops what is active, and leaves the rest alone', async () => {
    await using fake = await systemd({ units: active });
    await stopUnit('dlm.service');
    await stopUnit('dlm.service');
    await stopUnit('not-installed.service');
    expect(fake.calls.filter((call) => call.startsWith('StopUnit'))).toEqual(['StopUnit dlm.service']);
  });

  it('takes a unit that ends as failed for one that could not be stopped', async () => {
    await using _ = await systemd({ units: active, jobs: 'failed' });
    expect((await failureOf(stopUnit('dlm.service')))?.message).toMatch(
      /^dlm\.service could not be stopped: .* it is failed/,
    );
  });
});
