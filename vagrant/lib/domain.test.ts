import { describe, expect, test } from 'vitest';
import { diskXml } from './disk.ts';
import { parseConsoleFile, parseInterfaces } from './domain.ts';

test('the network cards of a machine are read with their networks and their tap devices', () => {
  const table = `
 vnet7         network   lab-management   virtio   52:54:00:90:00:0b
 lab-s-host1   network   lab-storage      virtio   52:54:00:90:02:0b
 vnet8         bridge    br0              virtio   52:54:00:aa:bb:cc
`;
  expect(parseInterfaces(table)).toEqual([
    { device: 'vnet7', network: 'lab-management', mac: '52:54:00:90:00:0b' },
    { device: 'lab-s-host1', network: 'lab-storage', mac: '52:54:00:90:02:0b' },
  ]);
});

describe('the file of a console', () => {
  test('is that of the first serial port', () => {
    const xml = `<devices><disk type='file'><source file='/disk'/></disk>
      <serial type='file'><source path='/console/host1.log'/><target port='0'/></serial>
      <serial type='file'><source path='/console/second.log'/></serial></devices>`;
    expect(parseConsoleFile(xml)).toBe('/console/host1.log');
  });

  test('is none for a port that is a terminal', () => {
    const xml = "<serial type='pty'><source path='/dev/pts/3'/></serial>";
    expect(parseConsoleFile(xml)).toBeUndefined();
  });
});

describe('the XML of a disk', () => {
  test('keeps what is special in XML out of it', () => {
    expect(diskXml({ path: `/a'b<c>&"d`, target: 'vdb' })).toContain(
      "<source file='/a&#39;b&#60;c&#62;&#38;&#34;d'/>",
    );
  });

  test('says only what was asked for', () => {
    const plain = diskXml({ path: '/disk', target: 'vdb' });
    expect(plain).toContain("cache='none'");
    expect(plain).not.toContain('serial');
    const all = diskXml({ path: '/disk', target: 'sdb', serial: 'one', cache: 'unsafe' });
    expect(all).toMatch(/bus='scsi'.*<serial>one<\/serial>/);
    expect(all).toContain("cache='unsafe'");
  });
});
