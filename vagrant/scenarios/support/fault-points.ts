/** An installation of the plugins whose calls die between two of their steps, as by kill -9. */
import { strict as assert } from 'node:assert';
import { join } from 'node:path';
import { mustRunOnHost } from '../../lib/host-command.ts';
import type { Host } from './host.ts';
import { CallFailed, type CallName, type Parameters } from './smapi.ts';

const root = join(import.meta.dirname, '../../..');
/** On a host. */
const installation = '/opt/lab-fault-points';

/** By call on an SR, the names of the points where it can die, in their order. */
export type FaultPoints = Readonly<
  Record<'create' | 'attach' | 'detach' | 'destroy' | 'grow', readonly string[]>
>;

/** The same by call on a volume, and by the two ways in which a merge ends; and of what is done under running disks. */
export interface ImageFaultPoints {
  readonly images: Readonly<Record<string, readonly string[]>>;
  readonly merges: Readonly<Record<'replace' | 'move', readonly string[]>>;
  readonly running: Readonly<Record<'snapshot' | 'resize' | 'merge', readonly string[]>>;
}

/** The points of calls on SRs. */
export async function faultPoints(): Promise<FaultPoints> {
  return (await allPoints()).srs;
}

/** Those of calls on volumes, and of merges. */
export async function imageFaultPoints(): Promise<ImageFaultPoints> {
  return await allPoints();
}

async function allPoints(): Promise<ImageFaultPoints & { readonly srs: FaultPoints }> {
  return JSON.parse(await runHere(['packaging/fault-points.ts']));
}

/** Puts the installation beside the one that a host has; `remove` takes it away. */
export async function putFaultPoints(host: Host): Promise<{ remove(): Promise<void> }> {
  const bundles = join(root, 'build/lab-fault-points');
  await runHere(['packaging/bundle.ts', bundles, '--fault-points']);
  const remove = async (): Promise<void> => {
    await host.exec(['rm', '-rf', installation]);
  };
  await remove();
  await host.machine.upload(bundles, installation);
  // All but the bundles is as it is.
  await host.sh(
    'cd "$1"; mkdir -p usr/sbin usr/libexec/gfs2-iscsi-sr; mv ./*.cjs usr/libexec/gfs2-iscsi-sr; ' +
      'cp -a /usr/sbin/gfs2-sr usr/sbin; cp -a /usr/libexec/xapi-storage-script usr/libexec; ' +
      'cd usr/libexec/gfs2-iscsi-sr; cp -a /usr/libexec/gfs2-iscsi-sr/{launcher,*.node} .; ln -s /usr/libexec/gfs2-iscsi-sr/runtime .',
    [installation],
  );
  return { remove };
}

/** Makes a call that dies at a point. */
export async function callDies<N extends CallName>(
  host: Host,
  name: N,
  parameters: Parameters<N>,
  point: string,
): Promise<void> {
  try {
    await host.call(name, parameters, { installation, environment: { GFS2_SR_FAULT: point } });
  } catch (error) {
    assert(error instanceof CallFailed && /ended with status 137\b/.test(error.sentence), String(error));
    return;
  }
  throw new Error(`${name} never came to ${point}`);
}

/** Runs gfs2-sr, which dies at a point. */
export async function commandDies(host: Host, words: readonly string[], point: string): Promise<void> {
  const { exitCode, stderr } = await host.exec(
    ['env', `GFS2_SR_FAULT=${point}`, `${installation}/usr/sbin/gfs2-sr`, ...words],
    { expect: 'any', timeout: 300_000 },
  );
  assert(exitCode !== 0 && /ended with status 137\b/.test(stderr), `it never came to ${point}: ${stderr}`);
}

async function runHere(words: readonly string[]): Promise<string> {
  return await mustRunOnHost(undefined, process.execPath, words, { directory: root, timeout: 120_000 });
}
