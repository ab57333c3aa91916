/** Starts and stops systemd's units, over the system bus. */
import { setTimeout as sleep } from 'node:timers/promises';
import { PluginError } from '../smapi/errors.ts';
import { type FinishedJob, type Systemd, withSystemd } from './bus.ts';

/** How long to wait for a unit. */
export interface UnitOptions {
  /** Milliseconds until the unit must be there, or gone; 60,000 unless told. */
  readonly deadline?: number;
}

/** Milliseconds between looks at a unit whose job's end is never told: systemd forgets who listens. */
const lookEvery = 1_000;
/** Milliseconds that systemd gets to answer a question after the deadline of a job. */
const lastWord = 5_000;

/**
 * Starts a unit and waits until it is active. A unit that is active already is left alone; one that has
 * failed before is given a new try.
 *
 * @throws PluginError `UnitMissing`, `UnitFailed` or `SystemdUnavailable` naming the unit and where to look.
 */
export async function startUnit(name: string, options: UnitOptions = {}): Promise<void> {
  await change(name, options, {
    verb: 'started',
    reached: (state) => state === 'active',
    async request(systemd, state) {
      // Also lifts the limit on how often a unit may be started.
      if (state === 'failed') await systemd.call('ResetFailedUnit', 's', [name]);
      return systemd.call('StartUnit', 'ss', [name, 'replace']);
    },
  });
}

/**
 * Stops a unit and waits until it is inactive. A unit that is inactive, or that nobody installed, is left
 * alone.
 *
 * @throws PluginError `UnitFailed` or `SystemdUnavailable` naming the unit and where to look.
 */
export async function stopUnit(name: string, options: UnitOptions = {}): Promise<void> {
  await change(name, options, {
    verb: 'stopped',
    reached: (state) => state === 'inactive' || state === 'failed',
    request: (systemd) => systemd.call('StopUnit', 'ss', [name, 'replace']),
  });
}

/** Makes systemd read its unit files anew. */
export async function reloadUnits(): Promise<void> {
  await manage('reload its units', (systemd) => systemd.call('Reload'));
}

/** Whether units start when the host starts; systemd's own files are read anew if that changes. */
export async function setStartsAtBoot(names: readonly string[], atBoot: boolean): Promise<void> {
  await manage(`${atBoot ? 'enable' : 'disable'} ${names.join(' and ')}`, async (systemd) => {
    if (atBoot) await systemd.call('EnableUnitFiles', 'asbb', [names, false, true]);
    else await systemd.call('DisableUnitFiles', 'asb', [names, false]);
    await systemd.call('Reload');
  });
}

interface Change {
  readonly verb: 'started' | 'stopped';
  readonly reached: (activeState: string) => boolean;
  /** Answers the job's object path. */
  readonly request: (systemd: Systemd, activeState: string) => Promise<unknown>;
}

async function change(name: string, { deadline = 60_000 }: UnitOptions, change: Change): Promise<void> {
  const end = performance.now() + deadline;
  try {
    await withSystemd(deadline + lastWord, async (systemd) => {
      const finished: FinishedJob[] = [];
      // Before anything is asked for: a job may end before its path is known here.
      await systemd.onJobRemoved((job) => finished.push(job));
      const unit = await systemd.loadUnit(name);
      const state = await systemd.unitProperty(unit, 'ActiveState');
      if (change.reached(state)) return;
      await requireLoaded(systemd, unit, name);
      const job = String(await change.request(systemd, state));
      const result = await jobResult(systemd, unit, job, finished, change, end);
      // The state counts, not the job: a job may fail for a unit beside this one.
      const after = await systemd.unitProperty(unit, 'ActiveState');
      if (change.reached(after) && !(change.verb === 'stopped' && after === 'failed')) return;
      const why =
        result === undefined
          ? `systemd has not ended its job within ${deadline / 1000} s`
          : `its job ended as ${result}`;
      throw failed(name, change.verb, `${why}, and it is ${after}`);
    });
  } catch (error) {
    if (error instanceof PluginError) throw error;
    throw isRefusal(error)
      ? failed(name, change.verb, error.message.replace(/\.+$/, ''))
      : unavailable(`${name} could not be ${change.verb}`, error);
  }
}

async function requireLoaded(systemd: Systemd, unit: string, name: string): Promise<void> {
  const load = await systemd.unitProperty(unit, 'LoadState');
  if (load === 'not-found') {
    throw new PluginError(
      'UnitMissing',
      `There is no ${name} on this host; install the package that it belongs to.`,
    );
  }
  if (load === 'masked') {
    throw new PluginError('UnitMissing', `${name} is masked on this host; run systemctl unmask ${name}.`);
  }
}

/** The result of a job; `active` or the like when its end was never told, undefined when it did not end. */
async function jobResult(
  systemd: Systemd,
  unit: string,
  job: string,
  finished: readonly FinishedJob[],
  { reached }: Change,
  end: number,
): Promise<string | undefined> {
  let look = performance.now() + lookEvery;
  while (performance.now() < end) {
    const ended = finished.find(({ path }) => path === job);
    if (ended !== undefined) return ended.result;
    if (performance.now() >= look) {
      const state = await systemd.unitProperty(unit, 'ActiveState');
      if (reached(state)) return state;
      look = performance.now() + lookEvery;
    }
    await sleep(20);
  }
  return undefined;
}

async function manage(what: string, use: (systemd: Systemd) => Promise<unknown>): Promise<void> {
  try {
    await withSystemd(60_000, use);
  } catch (error) {
    if (error instanceof PluginError) throw error;
    throw isRefusal(error)
      ? new PluginError('UnitFailed', `systemd could not ${what}: ${error.message}`)
      : unavailable(`systemd could not ${what}`, error);
  }
}

function failed(name: string, verb: string, why: string): PluginError {
  return new PluginError('UnitFailed', `${name} could not be ${verb}: ${why}; see journalctl -u ${name}.`);
}

function unavailable(what: string, cause: unknown): PluginError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new PluginError(
    'SystemdUnavailable',
    `${what}: systemd does not answer on the system bus (${why}); see whether dbus.service runs.`,
    { cause },
  );
}

/** Whether systemd itself refused, which it says in words. */
function isRefusal(error: unknown): error is Error {
  return (
    error instanceof Error && 'type' in error && String(error.type).startsWith('org.freedesktop.systemd1')
  );
}
