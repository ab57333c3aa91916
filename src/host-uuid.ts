import { readFileSync } from 'node:fs';
import { hostPaths } from './host-paths.ts';

/**
 * The uuid by which xapi knows this host (`INSTALLATION_UUID`), or on a host without xapi its machine-id
 * in the form of a uuid.
 *
 * @returns undefined on a host that has neither.
 */
export function hostUuid(): string | undefined {
  const installation = /^INSTALLATION_UUID='?([0-9a-fA-F-]{36})'?$/m.exec(read(hostPaths.inventory));
  if (installation?.[1] !== undefined) return installation[1].toLowerCase();
  const machine = /^([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/m.exec(
    read('/etc/machine-id'),
  );
  return machine?.slice(1).join('-');
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
