/**
 * A relay that adds latency between two network namespaces, for kernels without netem.
 *
 *     delay-relay.ts near MILLISECONDS FOLDER ADDRESS:PORT...   where the initiator is
 *     delay-relay.ts far FOLDER ADDRESS:PORT...                 where the target is
 *
 * The near half listens on the target's own addresses, so that what the target says of its portals holds
 * on this side too; the halves meet on Unix sockets in FOLDER, which namespaces of networks do not part.
 */
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';

const [side, ...rest] = process.argv.slice(2);
if (side === 'near') {
  const [milliseconds, folder = '', ...portals] = rest;
  for (const portal of portals) {
    const { host, port } = split(portal);
    createServer({ noDelay: true }, (initiator) => {
      const relay = createConnection(join(folder, portal));
      delay(initiator, relay, Number(milliseconds));
      delay(relay, initiator, Number(milliseconds));
    }).listen(port, host);
  }
} else {
  const [folder = '', ...portals] = rest;
  for (const portal of portals) {
    createServer((relay) => {
      const target = createConnection({ ...split(portal), noDelay: true });
      delay(relay, target, 0);
      delay(target, relay, 0);
    }).listen(join(folder, portal));
  }
}

function split(portal: string): { host: string; port: number } {
  const colon = portal.lastIndexOf(':');
  return { host: portal.slice(0, colon), port: Number(portal.slice(colon + 1)) };
}

/** Passes everything on, each piece `milliseconds` after it came. */
function delay(from: Socket, to: Socket, milliseconds: number): void {
  const later = (act: () => void): void => {
    if (milliseconds === 0) act();
    else setTimeout(act, milliseconds);
  };
  from.on('data', (chunk) => later(() => to.write(chunk)));
  from.on('end', () => later(() => to.end()));
  from.on('error', () => to.destroy());
  from.on('close', () => later(() => to.destroySoon()));
}
