/**
 * A machine of the lab started with Xen below its Linux, which is dom0 then. All else of it is as it was: its disk, its
 * addresses, its name. Paravirtualised guests need nothing of the processor, so that this goes under emulation too.
 */
import { dirname, join } from 'node:path';
import { InfrastructureError, type Machine } from '../lib/index.ts';

/** Memory of such a machine, and what dom0 gets of it, in MiB. */
const memory = 1536;
const dom0Memory = 900;

/** Milliseconds for it to answer ssh: it starts twice as slowly. */
const startLimit = 300_000;

/** Without the last two words dom0 and guests failed at random after some minutes, emulated. */
const xenArguments = [
  ...['console=com1', 'com1=115200,8n1', 'noreboot', `dom0_mem=${dom0Memory}M,max:${dom0Memory}M`],
  ...['dom0_max_vcpus=1', 'xpti=0', 'spec-ctrl=no,eager-fpu'],
].join(' ');

/**
 * Starts a machine that has no power with Xen, and what guests need in its dom0.
 *
 * @returns what gives it its Linux alone again, from the next start on.
 */
export async function startWithXen(machine: Machine): Promise<{ undo(): Promise<void> }> {
  const before = await machine.redefine(xenDefinition);
  const undo = async (): Promise<void> => {
    await machine.redefine(() => before);
  };
  try {
    await machine.start(startLimit);
    await startDaemons(machine).catch(async (error: unknown) => {
      // Its network has been seen to be away for a moment when all of it was new.
      if (!(error instanceof InfrastructureError)) throw error;
      await machine.waitForSsh();
      await startDaemons(machine);
    });
    return { undo };
  } catch (error) {
    if (await machine.hasPower()) await machine.powerCut();
    await undo();
    throw error;
  }
}

async function startDaemons(machine: Machine): Promise<void> {
  await machine.exec(
    [
      'sh',
      '-c',
      'mkdir -p /var/log/xen/console; grep -q ^XENCONSOLED_ARGS=--log /etc/default/xen || ' +
        'echo XENCONSOLED_ARGS=--log=guest >>/etc/default/xen; systemctl start xen; modprobe xen-blkback',
    ],
    { timeout: 120_000 },
  );
}

/**
 * A domain's definition with Xen as what QEMU starts, and the kernel and its initramfs as Xen's modules: libvirt has no
 * words for that.
 */
export function xenDefinition(xml: string): string {
  const text = (name: string): string => {
    const found = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
    if (found === undefined) throw new Error(`The machine's definition has no ${name}.`);
    return found.trim();
  };
  const [kernel, initramfs] = [text('kernel'), text('initrd')];
  const words = text('cmdline').replace(/console=\S+/, 'console=hvc0');
  const args = [
    ...['-kernel', join(dirname(kernel), 'xen.elf'), '-append', xenArguments],
    ...['-initrd', `${kernel} ${words},${initramfs}`],
  ];
  const passed = args.map((arg) => `<qemu:arg value='${arg}'/>`).join('');
  return (
    xml
      .replace(/<kernel>.*<\/cmdline>\s*/s, '')
      .replace(/<memory [^<]*<\/memory>/, `<memory unit='MiB'>${memory}</memory>`)
      .replace(/<currentMemory [^<]*<\/currentMemory>/, `<currentMemory unit='MiB'>${memory}</currentMemory>`)
      // dom0's kernel ends at once on the one with all that QEMU has.
      .replace(
        /<cpu mode='maximum'.*?(\/>|<\/cpu>)/s,
        "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>Haswell-noTSX</model></cpu>",
      )
      .replace(/<domain ([^>]*)>/, (start, attributes: string) =>
        attributes.includes('xmlns:qemu')
          ? start
          : `<domain ${attributes} xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>`,
      )
      .replace(/<\/domain>\s*$/, `<qemu:commandline>${passed}</qemu:commandline></domain>`)
  );
}
