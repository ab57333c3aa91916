/** The lab as a whole: up, and down to nothing. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBox } from '../box/build.ts';
import { InfrastructureError, Vagrant } from '../lib/index.ts';
import { chooseAccelerator } from './accelerator.ts';
import { startFenceServer } from './fence.ts';
import { setUpHosts } from './hosts.ts';
import { installBox } from './install-box.ts';
import { startLibvirtd } from './libvirtd.ts';
import { createNamespace, processesInside, removeNamespace } from './namespace.ts';
import { labDirectory, libvirtUri, place } from './place.ts';
import { IscsiTarget } from './target.ts';

/** What a lab was brought up with. */
interface LabSettings {
  readonly hosts: number;
  readonly accelerator: 'kvm' | 'tcg';
}

export interface LabOptions {
  /** How many hosts beside the target, 1 to 3. */
  readonly hosts: number;
  /** A folder with more .deb files and programs for the box. */
  readonly extraFolder?: string | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

/**
 * Brings the lab up from nothing, and leaves it to the caller to take it down, also after an error.
 *
 * @throws InfrastructureError, BoxBuildError
 */
export async function labUp(options: LabOptions): Promise<Vagrant> {
  const { signal, onProgress } = options;
  const box = await ensureBox(options);
  const accelerator = await chooseAccelerator(box, signal);
  onProgress(
    accelerator === 'kvm' ? 'machines run under KVM' : 'KVM does not run our kernel: machines are emulated',
  );
  await createNamespace();
  mkdirSync(place.console);
  mkdirSync(place.temporary, { mode: 0o700 });
  installBox(box);
  await startLibvirtd(signal);
  onProgress('libvirtd runs, in a network namespace of its own');
  const settings: LabSettings = { hosts: options.hosts, accelerator };
  const vagrant = driverOf(settings, options);
  await vagrant.up();
  await vagrant.sshConfigurationFile();
  onProgress('all machines answer');
  writeFileSync(place.settings, JSON.stringify(settings));
  await setUpMachines(vagrant, options);
  return vagrant;
}

/**
 * Makes a target and hosts of the machines of a lab. May be repeated, as long as the hosts use nothing of the
 * target.
 */
export async function setUpMachines(
  vagrant: Vagrant,
  { hosts, signal, onProgress }: Pick<LabOptions, 'hosts' | 'signal' | 'onProgress'>,
): Promise<void> {
  const names = hostNames(hosts);
  await startFenceServer(signal);
  await Promise.all([
    new IscsiTarget(vagrant.machine('target')).setUp(names).then(() => onProgress('the target is set up')),
    setUpHosts(names.map((name) => vagrant.machine(name))).then(() => onProgress('the hosts are set up')),
  ]);
}

/** The names of the first hosts. */
export function hostNames(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `host${index + 1}`);
}

/** How many hosts the lab that is up has. */
export function labHosts(): number {
  return readSettings().hosts;
}

/**
 * The driver of a lab that is up.
 *
 * @throws InfrastructureError when none is.
 */
export function openLab(
  options: Pick<LabOptions, 'onProgress'> & Partial<Pick<LabOptions, 'signal'>>,
): Vagrant {
  return driverOf(readSettings(), options);
}

/** They are written when all machines are up. */
function readSettings(): LabSettings {
  if (!existsSync(place.settings)) throw new InfrastructureError('The lab is not up: run make lab-up first.');
  return JSON.parse(readFileSync(place.settings, 'utf8')) as LabSettings;
}

function driverOf(
  { hosts, accelerator }: LabSettings,
  { signal, onProgress }: Pick<LabOptions, 'onProgress'> & Partial<Pick<LabOptions, 'signal'>>,
): Vagrant {
  return new Vagrant({
    directory: join(import.meta.dirname, '..'),
    dataDirectory: place.machines,
    environment: {
      VAGRANT_HOME: place.vagrantHome,
      TMPDIR: place.temporary,
      LAB_DIRECTORY: labDirectory,
      LAB_HOSTS: String(hosts),
      LAB_ACCELERATOR: accelerator,
    },
    libvirtUri,
    networkNamespace: place.namespace,
    signal,
    // What vagrant-libvirt says of each setting of each machine is in its Vagrantfile already.
    onProgress: ({ machine, text }) => {
      if (!text.startsWith('-- ')) onProgress(machine === undefined ? text : `${machine}: ${text}`);
    },
  });
}

/**
 * Takes the lab for this process, and takes away what one that was killed may have left.
 *
 * @throws InfrastructureError when there is a lab already.
 */
export async function claimLab(): Promise<void> {
  const other = labProcess();
  if (other !== undefined)
    throw new InfrastructureError(`The lab belongs to process ${other}: wait for it, or interrupt it.`);
  if (processesInside().length > 0) throw new InfrastructureError('The lab is up: run make lab-down first.');
  await labDown();
  mkdirSync(labDirectory, { recursive: true, mode: 0o755 });
  writeFileSync(place.process, String(process.pid));
}

/** Leaves the lab to whoever comes; it stays up. */
export function leaveLab(): void {
  rmSync(place.process, { force: true });
}

/** Ends all that belongs to the lab, whatever state it is in: processes, namespace, mounts, files. */
export async function labDown(): Promise<void> {
  await removeNamespace();
  rmSync(labDirectory, { recursive: true, force: true });
}

/** The process that has claimed the lab, if it still runs. */
export function labProcess(): number | undefined {
  if (!existsSync(place.process)) return undefined;
  const pid = Number(readFileSync(place.process, 'utf8'));
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('vagrant/') ? pid : undefined;
  } catch {
    return undefined;
  }
}
