/** The sections of Plugin.diagnostics: each some lines of text. */
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { arch, loadavg, release, uptime } from 'node:os';
import packageJson from '../../package.json' with { type: 'json' };
import { hostPaths } from '../../src/host-paths.ts';
import { unitStates } from '../../src/systemd/unit-states.ts';
import { describeGarbage } from '../gc/status.ts';
import { readInitiatorName } from '../iscsi/initiator-name.ts';
import { formatPortal, parsePortals } from '../iscsi/portal.ts';
import { findAttached, listAttached } from '../sr/attached.ts';
import { stat } from '../sr/stat.ts';
import { readSettings } from './settings.ts';

type Section = () => Promise<readonly string[]> | readonly string[];

/** All sections by their titles, in the order in which they are printed. */
export const sections: Readonly<Record<string, Section>> = {
  versions,
  tools,
  kernel,
  host,
  'network interfaces': networkInterfaces,
  'attached SRs': attachedSrs,
  'garbage collection': garbage,
  'gfs2 mounts': gfs2Mounts,
  'loop devices': loopDevices,
  iscsi,
  'storage network': reachability,
  services,
};

/** Tools of the host that this product or an admin of it uses. */
const usedTools = [
  'mkfs.gfs2',
  'gfs2_jadd',
  'gfs2_grow',
  'fsck.gfs2',
  'corosync',
  'corosync-quorumtool',
  'dlm_controld',
  'dlm_tool',
  'fence_scsi',
  'sg_persist',
  'iscsiadm',
  'multipath',
  'qemu-img',
  'qemu-storage-daemon',
  'vhd-util',
  'tap-ctl',
];

const usedModules = ['gfs2', 'dlm', 'iscsi_tcp', 'dm_multipath', 'loop', 'nbd', 'xen_blkback', 'softdog'];

const usedUnits = [
  'corosync.service',
  'dlm.service',
  'iscsid.service',
  'multipathd.service',
  'xapi-clusterd.service',
  'xapi-storage-script.service',
  'gfs2-sr-gc.timer',
  'gfs2-sr-gc.service',
];

function versions(): readonly string[] {
  const system = /^PRETTY_NAME="?([^"\n]*)/m.exec(readOptional('/etc/os-release') ?? '')?.[1];
  const inventory = readOptional(hostPaths.inventory) ?? '';
  const product = ['PRODUCT_BRAND', 'PRODUCT_VERSION', 'BUILD_NUMBER'].flatMap(
    (key) => new RegExp(`^${key}='([^']*)'`, 'm').exec(inventory)?.[1] ?? [],
  );
  return [
    `${packageJson.name} ${packageJson.version}`,
    `Node ${process.versions.node} (libuv ${process.versions.uv}, OpenSSL ${process.versions.openssl}, SQLite ${process.versions.sqlite})`,
    ...Object.entries(packageJson.dependencies).map(([name, version]) => `${name} ${version}`),
    `Linux ${release()} ${arch()}, ${system ?? 'unknown distribution'}`,
    `toolstack: ${product.length === 0 ? 'none that says its version' : product.join(' ')}`,
    `required cluster stack: ${readSettings().requiredClusterStack.join(', ') || 'none'}`,
  ];
}

function tools(): readonly string[] {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/bin', '/bin'];
  const isThere = (tool: string): boolean => folders.some((folder) => isExecutable(`${folder}/${tool}`));
  return [
    `present: ${usedTools.filter(isThere).join(' ') || 'none'}`,
    `missing: ${usedTools.filter((tool) => !isThere(tool)).join(' ') || 'none'}`,
  ];
}

function kernel(): readonly string[] {
  const filesystems = readFileSync('/proc/filesystems', 'utf8');
  const loaded = usedModules.filter((name) => existsSync(`/sys/module/${name}`));
  return [
    `gfs2: ${/\bgfs2$/m.test(filesystems) ? 'available' : 'not loaded'}`,
    `modules loaded or built in: ${loaded.join(' ') || 'none'}`,
    `modules not seen: ${usedModules.filter((name) => !loaded.includes(name)).join(' ') || 'none'}`,
  ];
}

async function host(): Promise<readonly string[]> {
  const { cpu, mem } = await import('systeminformation').then((module) => module.default);
  const [processor, memory] = await Promise.all([cpu(), mem()]);
  return [
    `CPU: ${processor.manufacturer} ${processor.brand}, ${processor.cores} threads`,
    `memory: ${mebibytes(memory.total)} MiB, ${mebibytes(memory.available)} available; swap ${mebibytes(memory.swapused)} of ${mebibytes(memory.swaptotal)} MiB in use`,
    `up for ${Math.floor(uptime() / 3600)} h; load ${loadavg()
      .map((load) => load.toFixed(2))
      .join(' ')}`,
  ];
}

async function networkInterfaces(): Promise<readonly string[]> {
  const information = await import('systeminformation').then((module) => module.default);
  const found = await information.networkInterfaces();
  return [found].flat().map((nic) => {
    const speed = nic.speed !== null && nic.speed > 0 ? `${nic.speed} Mbit/s` : 'unknown speed';
    const families = [nic.ip4 === '' ? [] : 'IPv4', nic.ip6 === '' ? [] : 'IPv6'].flat();
    return `${nic.iface}: ${nic.type}, ${nic.operstate}, MTU ${nic.mtu}, ${speed}, ${families.join(' and ') || 'no address'}`;
  });
}

async function attachedSrs(): Promise<readonly string[]> {
  const lines = await Promise.all(
    listAttached().map(async (sr) => {
      const provider = findAttached(sr)?.provider ?? 'gone';
      try {
        const { health, free_space, total_space } = await stat({ dbg: 'diagnostics', sr });
        return `${sr}: ${provider}, ${health[0]}, ${mebibytes(free_space)} of ${mebibytes(total_space)} MiB free`;
      } catch (error) {
        return `${sr}: ${provider}, ${error instanceof Error ? error.name : 'failed'}`;
      }
    }),
  );
  return lines.length === 0 ? ['none'] : lines;
}

async function garbage(): Promise<readonly string[]> {
  const lines = await describeGarbage();
  return lines.length === 0 ? ['nothing to collect'] : lines;
}

function gfs2Mounts(): readonly string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'gfs2')
    // Without the device, whose name is often its serial number.
    .map(([, , , options]) => `mounted with ${options}`);
  const tables = list('/sys/fs/gfs2').map((table) => {
    const withdrawn = readOptional(`/sys/fs/gfs2/${table}/withdraw`)?.trim() === '1';
    return `lock table ${table}: ${withdrawn ? 'WITHDRAWN, this host must reboot' : 'in order'}`;
  });
  return mounts.length + tables.length === 0 ? ['none'] : [...mounts, ...tables];
}

function loopDevices(): readonly string[] {
  const bound = list('/sys/block').filter((name) => existsSync(`/sys/block/${name}/loop/backing_file`));
  const direct = bound.filter((name) => readOptional(`/sys/block/${name}/loop/dio`)?.trim() === '1');
  return [`${bound.length} in use, ${direct.length} of them with direct I/O`];
}

function iscsi(): readonly string[] {
  let name = 'set';
  try {
    if (/[A-Z]/.test(readInitiatorName())) name = 'set, with upper case letters, which some targets refuse';
  } catch (error) {
    name = error instanceof Error ? error.message : 'not readable';
  }
  const sessions = list('/sys/class/iscsi_session').map(
    (session) =>
      `${session}: ${readOptional(`/sys/class/iscsi_session/${session}/state`)?.trim() ?? 'unknown'}`,
  );
  return [`initiator name: ${name}`, `kernel sessions: ${sessions.join(', ') || 'none'}`];
}

/** Whether the portals of attached SRs and of the kernel's sessions take connections. */
async function reachability(): Promise<readonly string[]> {
  const configured = listAttached().flatMap((sr) => {
    const { ips = '', target = '', port } = findAttached(sr)?.configuration ?? {};
    return parsePortals(`${ips},${target}`, port === undefined ? undefined : Number(port));
  });
  const connected = list('/sys/class/iscsi_connection').flatMap((name) => {
    const folder = `/sys/class/iscsi_connection/${name}`;
    const address = readOptional(`${folder}/persistent_address`)?.trim();
    const port = Number(readOptional(`${folder}/persistent_port`));
    return address === undefined ? [] : [{ host: address, port }];
  });
  const portals = new Map([...configured, ...connected].map((portal) => [formatPortal(portal), portal]));
  const lines = await Promise.all(
    [...portals].map(async ([text, portal]) => `${text}: ${await tryConnection(portal)}`),
  );
  return lines.length === 0 ? ['no portal is in use'] : lines;
}

function tryConnection(portal: { readonly host: string; readonly port: number }): Promise<string> {
  const start = performance.now();
  return new Promise((resolve) => {
    const socket = connect({ ...portal, timeout: 2_000 });
    const end = (result: string): void => {
      socket.destroy();
      resolve(result);
    };
    socket.on('connect', () => end(`reachable in ${(performance.now() - start).toFixed(1)} ms`));
    socket.on('timeout', () => end('no answer within 2 s'));
    socket.on('error', (error: NodeJS.ErrnoException) => end(`not reachable (${error.code ?? error.name})`));
  });
}

async function services(): Promise<readonly string[]> {
  const states = await unitStates(usedUnits, 3_000);
  return [...states].map(([name, { load, active, sub }]) =>
    load === 'not-found' ? `${name}: not installed` : `${name}: ${active} (${sub})`,
  );
}

function mebibytes(bytes: number | bigint): string {
  return (BigInt(bytes) / 1048576n).toString();
}

function list(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function readOptional(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
