import { describe, expect, it } from 'vitest';
import { extendDeviceConfig, parseDeviceConfig } from './device-config.ts';
import { deviceConfigHelp } from './device-config-help.ts';

const portal = { ips: '10.0.0.1' };

describe('a device-config', () => {
  it('says the same in our words and in those of sm', () => {
    const ours = parseDeviceConfig({ ips: '10.0.0.1', port: '3261', iqns: 'iqn.x:y', ScsiId: '3600' });
    const sm = parseDeviceConfig({
      provider: 'iscsi',
      target: '10.0.0.1',
      port: '3261',
      targetIQN: 'iqn.x:y',
      SCSIid: '3600',
      chapuser: '',
      chappassword: '',
    });
    expect(sm).toEqual(ours);
    expect(ours).toEqual({
      provider: 'iscsi',
      portals: [{ host: '10.0.0.1', port: 3261 }],
      iqns: ['iqn.x:y'],
      scsiId: '3600',
    });
  });

  it('takes names of targets that standards would not, once each', () => {
    const names = [
      'iqn.2015-01.com.Example:Disk',
      'iqn.2015-1.x:y',
      'iqn.2017.11.dev.x:y',
      'iqn.nodate.ctl:vol',
      'iqn.2001-04.com.example',
      'iqn.2003-01.org.a_b:c',
      'eui.02004567A425678D',
      'naa.52004567BA64678D',
    ];
    const config = parseDeviceConfig({ ...portal, iqns: `${names.join(' , ')}\n,IQN.2015-1.x:y` });
    expect(config).toMatchObject({ iqns: [...names.slice(0, 1), 'IQN.2015-1.x:y', ...names.slice(2)] });
  });

  it('leaves CHAP secrets as they are', () => {
    for (const secret of ['a$b@c#d&e!f', '"quoted\'12', 'twelve chars ', 'paßwörter123', 'x'.repeat(255)]) {
      expect(parseDeviceConfig({ ...portal, chapuser: 'u', chappassword: secret })).toMatchObject({
        chap: { user: 'u', secret },
      });
    }
  });

  it('takes a SCSI id as scsi_id prints it with and without its spaces', () => {
    expect(parseDeviceConfig({ ...portal, ScsiId: ' 1IET     00010001 ' })).toMatchObject({
      scsiId: '1IET_00010001',
    });
  });

  it.each([
    [{}, /ips is missing/],
    [{ ips: ' , ' }, /ips is missing/],
    [{ provider: 'nfs' }, /provider is "nfs"/],
    [{ ...portal, port: '0' }, /port=0/],
    [{ ...portal, target: '10.0.0.2' }, /ips and target are two names/],
    [{ ...portal, iqns: 'iqn.x y' }, /cannot be the name of a target/],
    [{ ...portal, iqns: 'x'.repeat(224) }, /223 bytes/],
    [{ ips: Array.from({ length: 65 }, (_, i) => `10.0.0.${i}`).join() }, /65 portals, more than 64/],
    [{ ...portal, iqns: Array.from({ length: 257 }, (_, i) => `iqn.x:${i}`).join() }, /257 targets/],
    [{ ...portal, chapuser: 'u' }, /chapuser is given without chappassword/],
    [{ ...portal, chappassword: 's' }, /chappassword is given without chapuser/],
    [{ ...portal, chapuser: 'u', chappassword: 'x'.repeat(256) }, /chappassword must have at most 255 bytes/],
    [{ ...portal, incoming_chapuser: 'u', incoming_chappassword: 's' }, /needs chapuser and chappassword/],
    [
      {
        ...portal,
        chapuser: 'u',
        chappassword: 'same',
        incoming_chapuser: 'v',
        incoming_chappassword: 'same',
      },
      /the same; CHAP forbids/,
    ],
    [{ provider: 'path' }, /path must be the absolute path/],
    [{ provider: 'path', path: 'srv/sr' }, /path must be the absolute path/],
  ])('is refused with what to write: %j', (configuration, message) => {
    expect(() => parseDeviceConfig(configuration)).toThrow(message);
  });

  it('never has a secret in a refusal', () => {
    const secret = 'S3cretMarker1';
    for (const configuration of [
      { ...portal, chappassword: secret },
      { ...portal, chapuser: 'u', chappassword: `${secret}${'x'.repeat(255)}` },
      { ...portal, chapuser: 'u', chappassword: `${secret}\0` },
    ]) {
      try {
        parseDeviceConfig(configuration);
        expect.unreachable();
      } catch (error) {
        expect(String(error)).not.toContain(secret);
      }
    }
  });
});

describe('an extended device-config', () => {
  it('keeps what was there, and the words that the caller used', () => {
    expect(extendDeviceConfig({ ips: 'a', other: 'x' }, { iqns: 'i', ScsiId: 's' })).toEqual({
      ips: 'a',
      other: 'x',
      iqns: 'i',
      ScsiId: 's',
    });
    expect(extendDeviceConfig({ target: 'a' }, { iqns: 'i', ScsiId: 's' })).toEqual({
      target: 'a',
      targetIQN: 'i',
      SCSIid: 's',
    });
    expect(extendDeviceConfig({ ips: 'a', targetIQN: 'i', ScsiId: '' }, { iqns: 'I', ScsiId: 's' })).toEqual({
      ips: 'a',
      targetIQN: 'I',
      ScsiId: 's',
    });
  });

  it('says the same to the parser', () => {
    const configuration = extendDeviceConfig({ target: '10.0.0.1' }, { iqns: 'i', ScsiId: 's' });
    expect(parseDeviceConfig(configuration)).toMatchObject({ iqns: ['i'], scsiId: 's' });
  });
});

it('is described key by key, under every name', () => {
  expect(Object.keys(deviceConfigHelp)).toEqual(
    expect.arrayContaining(['ips', 'target', 'iqns', 'targetIQN', 'ScsiId', 'SCSIid', 'port', 'path']),
  );
  for (const [key, help] of Object.entries(deviceConfigHelp)) expect(help.length, key).toBeGreaterThan(20);
});
