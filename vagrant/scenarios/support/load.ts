/** Work that a host does by itself while something else happens. */
import type { Host } from './host.ts';

/** A loop that runs on a host until it is stopped. */
export interface Load {
  /** How many rounds it has done, and the failures' words. */
  look(): Promise<{ readonly rounds: number; readonly failures: readonly string[] }>;
  /** The longest round so far, in seconds. */
  slowest(): Promise<number>;
  /** Ends it after the round under way, and waits for that. */
  stop(): Promise<void>;
}

/**
 * Runs a line of bash in a loop, in a unit of its own. A round that fails is noted, and the loop goes on.
 *
 * @param line with `$1` and so on for `args`.
 */
export async function startLoad(
  host: Host,
  name: string,
  line: string,
  args: readonly string[] = [],
): Promise<Load> {
  const unit = `lab-${name}`;
  const folder = `/run/${unit}`;
  const script = [
    `mkdir -p ${folder}; cd ${folder}; rm -f stop rounds failures`,
    'while [ ! -e stop ]; do',
    '  begin=$EPOCHREALTIME',
    `  if said=$( { ${line} ; } 2>&1); then :; else echo "\${said:-exit code $?}" >>failures; sleep 0.2; fi`,
    '  echo "$begin $EPOCHREALTIME" >>rounds',
    'done',
  ].join('\n');
  await host.sh('systemctl reset-failed "$1" 2>/dev/null || true; mkdir -p "$2"; : >"$2/rounds"', [
    unit,
    folder,
  ]);
  await host.exec([
    'systemd-run',
    '--quiet',
    '--collect',
    `--unit=${unit}`,
    'bash',
    '-c',
    script,
    'sh',
    ...args,
  ]);
  const rounds = async (): Promise<readonly (readonly number[])[]> =>
    (await host.sh(`cat ${folder}/rounds`))
      .split('\n')
      .filter((text) => text !== '')
      .map((text) => text.split(' ').map(Number));
  return {
    async look() {
      const failures = await host.sh(`[ ! -e ${folder}/failures ] || cat ${folder}/failures`);
      return {
        rounds: (await rounds()).length,
        failures: failures.split('\n').filter((text) => text !== ''),
      };
    },
    async slowest() {
      return Math.max(0, ...(await rounds()).map(([begin = 0, end = 0]) => end - begin));
    },
    async stop() {
      await host.sh(`touch ${folder}/stop; while systemctl is-active -q "$1"; do sleep 0.2; done`, [unit], {
        timeout: 120_000,
      });
    },
  };
}
