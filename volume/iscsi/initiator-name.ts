import { readFileSync } from 'node:fs';
import { hostPaths } from '../../src/host-paths.ts';
import { PluginError } from '../../src/smapi/errors.ts';

/**
 * This host's iSCSI name, by which arrays grant access: `InitiatorName=` of open-iscsi's file, without
 * the white space around it.
 *
 * @throws PluginError `NoInitiatorName` when the file has none.
 */
export function readInitiatorName(file: string = hostPaths.initiatorName): string {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const name = /^\s*InitiatorName\s*=\s*(\S+)\s*$/m.exec(text)?.[1];
  if (name !== undefined) return name;
  throw new PluginError(
    'NoInitiatorName',
    `This host has no iSCSI name: ${file} has no line InitiatorName=...; set the host's IQN, or install open-iscsi.`,
  );
}
