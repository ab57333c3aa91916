import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

/** Where administrative tools live on hosts whose PATH, as xapi's, may lack them. */
export const commandFolders: readonly string[] = [
  ...(process.env.PATH ?? '').split(':').filter((folder) => folder !== ''),
  ...['/usr/sbin', '/sbin', '/usr/bin', '/bin'],
];

/** What commands get of the environment. */
export const commandEnvironment = { PATH: commandFolders.join(':'), LC_ALL: 'C' } as const;

/** Whether a command is installed on this host, where commands are looked for. */
export function hasCommand(name: string): boolean {
  return commandFolders.some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
