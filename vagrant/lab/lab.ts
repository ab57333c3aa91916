/** The lab as a whole: up, and down to nothing. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBox } from '../box/build.ts';
import { InfrastructureError, Vagrant } from '../lib/index.ts';
import { chooseAccelerator } from './accelerator.ts';
import { installBox } from './install-box.ts';
import { startLibvirtd } from './libvirtd.ts';
import { createNamespace, processesInside, removeNamespace } from './namespace.ts';
import { labDirectory, libvirtUri, place } from './place.ts';

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
  writeFileSync(place.settings, JSON.stringify(settings));
  const vagrant = driverOf(settings, options);
  await vagrant.up();
  await vagrant.sshConfigurationFile();
  return vagrant;
}

/**
 * The driver of a lab that is up.
 *
 * @throws InfrastructureError when none is.
 */
export function openLab(
  options: Pick<LabOptions, 'onProgress'> & Partial<Pick<LabOptions, 'signal'>>,
): Vagrant {
  if (upProcess() !== undefined || !existsSync(place.settings))
    throw new InfrastructureError('The lab is not up: run make lab-up first.');
  return driverOf(JSON.parse(readFileSync(place.settings, 'utf8')) as LabSettings, options);
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
 * Takes the folder of the lab for this process, which brings it up.
 *
 * @throws InfrastructureError when there is a lab already.
 */
export function claimLab(): void {
  const other = upProcess();
  if (other !== undefined)
    throw new InfrastructureError(`The lab is being brought up by process ${other}: wait for it, or end it.`);
  if (processesInside().length > 0) throw new InfrastructureError('The lab is up: run make lab-down first.');
}

/** Ends all that belongs to the lab, whatever state it is in: processes, namespace, mounts, files. */
export async function labDown(): Promise<void> {
  await removeNamespace();
  rmSync(labDirectory, { recursive: true, force: true });
}

/** Says that this process brings the lab up. */
export function recordUp(): void {
  mkdirSync(labDirectory, { recursive: true, mode: 0o755 });
  writeFileSync(place.upPid, String(process.pid));
}

/** Says that it does no more. */
export function forgetUp(): void {
  rmSync(place.upPid, { force: true });
}

/** The process that is bringing the lab up, if one is. */
export function upProcess(): number | undefined {
  if (!existsSync(place.upPid)) return undefined;
  const pid = Number(readFileSync(place.upPid, 'utf8'));
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('lab/up.ts') ? pid : undefined;
  } catch {
    return undefined;
  }
}
