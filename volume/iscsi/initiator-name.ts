import { readFileSync } from 'node:fs';
import { hostPaths } from '../../src/host-paths.ts';
import { PluginError } from '../../src/smapi/errors.ts';

/**
 * This host's iSCSI name, by which arrays grant access: `InitiatorName=` of open-iscsi's file, without
 * the white space around it.
 *
 * @throws PluginError `NoInitiatorName` when the file has none, or this process may not read it.
 */
export function readInitiatorName(file: string = hostPaths.initiatorName): string {
  const fail = (why: string, options?: ErrorOptions): never => {
    throw new PluginError(
      'NoInitiatorName',
      `This host has no iSCSI name: ${why}; set the host's IQN, or install open-iscsi.`,
      options,
    );
  };
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES') {
      throw new PluginError(
        'NoInitiatorName',
        `Only root may read this host's iSCSI name from ${file}; run this as root.`,
        {
          cause: error,
        },
      );
    }
    fail(code === 'ENOENT' ? `there is no file ${file}` : `${file} cannot be read (${code})`, {
      cause: error,
    });
  }
  const name = /^\s*InitiatorName[ \t]*=[ \t]*(\S.*?)?\s*$/m.exec(text)?.[1];
  if (name === undefined) return fail(`${file} has no line InitiatorName=...`);
  return /\s/.test(name) ? fail(`the name "${name.slice(0, 60)}" in ${file} has a blank in it`) : name;
}
