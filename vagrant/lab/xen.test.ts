import { expect, test } from 'vitest';
import { xenDefinition } from './xen.ts';

const definition = `<domain type='qemu'>
  <name>lab-host2</name>
  <memory unit='KiB'>1048576</memory>
  <currentMemory unit='KiB'>1048576</currentMemory>
  <os>
    <type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type>
    <kernel>/boxes/one/vmlinuz</kernel>
    <initrd>/boxes/one/initrd.img</initrd>
    <cmdline>console=ttyS0 systemd.hostname=host2 lab.eth1=10.90.1.12/24</cmdline>
    <boot dev='hd'/>
  </os>
  <cpu mode='maximum' check='none'/>
  <devices/>
</domain>
`;

test('a definition with Xen starts it with the kernel, its words and its initramfs as modules', () => {
  const edited = xenDefinition(definition);
  expect(edited).toContain("<qemu:arg value='-kernel'/><qemu:arg value='/boxes/one/xen.elf'/>");
  expect(edited).toContain(
    "<qemu:arg value='-initrd'/><qemu:arg value='/boxes/one/vmlinuz console=hvc0 systemd.hostname=host2 lab.eth1=10.90.1.12/24,/boxes/one/initrd.img'/>",
  );
  expect(edited).toMatch(
    /<domain type='qemu' xmlns:qemu='http:\/\/libvirt\.org\/schemas\/domain\/qemu\/1\.0'>/,
  );
  expect(edited).toContain('<model fallback=');
  expect(edited).toContain("<memory unit='MiB'>1536</memory>");
  for (const gone of ['<kernel>', '<initrd>', '<cmdline>', "mode='maximum'"])
    expect(edited).not.toContain(gone);
});

test('under KVM the processor stays as it is', () => {
  const cpu = "<cpu mode='host-passthrough' check='none' migratable='on'/>";
  expect(xenDefinition(definition.replace("<cpu mode='maximum' check='none'/>", cpu))).toContain(cpu);
});

test('a machine that does not start from a kernel beside its disk is named as that', () => {
  expect(() => xenDefinition(definition.replace(/<kernel>.*<\/kernel>/, ''))).toThrow('has no kernel');
});
