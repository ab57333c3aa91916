import { existsSync } from 'node:fs';

/** Whether systemd runs this host, as sd_booted(3) tells it. */
export function isSystemdHost(): boolean {
  return existsSync('/run/systemd/system');
}
