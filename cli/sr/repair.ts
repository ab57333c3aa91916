import { checkSr, describeFinding, repairSr } from '../../volume/check/index.ts';
import { getAttached } from '../../volume/sr/attached.ts';
import { type Terminal, UsageError } from '../command.ts';
import { readSrArguments } from './arguments.ts';

/** `gfs2-sr sr repair` */
export async function repair(args: readonly string[], terminal: Terminal): Promise<void> {
  const { uuid, flags } = readSrArguments(args, ['--yes', '--dry-run', '--remove-lost']);
  if (flags.has('--yes') && flags.has('--dry-run'))
    throw new UsageError('--yes and --dry-run exclude each other');
  const sr = getAttached(uuid);
  const removesLost = flags.has('--remove-lost');
  const { print } = terminal;
  const { findings, notes } = await (flags.has('--yes')
    ? repairSr(sr, removesLost)
    : checkSr(sr, removesLost));
  for (const finding of findings) print(describeFinding(finding));
  for (const note of notes) print(note);
  if (findings.length === 0) {
    print('The SR is in order.');
    return;
  }
  if (!flags.has('--yes')) {
    print('Nothing was done. With --yes, what is said above is.');
    return;
  }
  const left = (await checkSr(sr)).findings;
  if (left.length === 0) print('The SR is in order now.');
  else {
    for (const finding of left) terminal.note(describeFinding(finding));
    throw new Error(`${left.length} ${left.length === 1 ? 'thing is' : 'things are'} still not in order`);
  }
}
