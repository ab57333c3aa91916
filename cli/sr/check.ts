import { checkSr, describeFinding } from '../../volume/check/index.ts';
import { getAttached } from '../../volume/sr/attached.ts';
import type { Terminal } from '../command.ts';
import { readSrArguments } from './arguments.ts';

/** `gfs2-sr sr check` */
export async function check(args: readonly string[], { print }: Terminal): Promise<void> {
  const { uuid, flags } = readSrArguments(args, ['--json']);
  const { findings, notes } = await checkSr(getAttached(uuid));
  if (flags.has('--json')) {
    print(JSON.stringify({ findings: findings.map(({ mend, ...shown }) => shown), notes }));
  } else {
    for (const finding of findings) print(describeFinding(finding));
    for (const note of notes) print(note);
    if (findings.length === 0) print('The SR is in order.');
  }
  if (findings.length > 0) {
    throw new Error(
      `${findings.length} ${findings.length === 1 ? 'thing is' : 'things are'} not in order; gfs2-sr sr repair ${uuid} --yes does what is said there`,
    );
  }
}
