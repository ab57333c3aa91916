/** The ways to a disk that a tapdisk serves. */
import type { Result } from '../../src/smapi/interface.ts';
import { deviceLink } from '../device-link.ts';
import { hasNbdDevices } from '../nbd/device.ts';
import { tapdiskPlaces } from '../tapdisk/places.ts';
import { isTapbackRunning } from '../tapdisk/tapback.ts';

/** One way to a disk. */
type Implementation = Result<'Datapath.attach'>['implementations'][number];

/** tapdisk has one disk a socket, and takes any name of an export. */
export const exportName = 'disk';

/**
 * Where a disk will be once it is active. xapi's block script resolves the link of a socket as it does that of a
 * device, and so tells tapback which tapdisk it is, by the name of its socket.
 *
 * @param key of its image.
 */
export async function listImplementations(key: string): Promise<readonly Implementation[]> {
  const socket = `nbd:unix:${tapdiskPlaces(key).nbd}:exportname=${exportName}`;
  if (isTapbackRunning()) {
    return [
      ['XenDisk', { params: socket, extra: {}, backend_type: 'vbd3' }],
      ['Nbd', { uri: socket }],
    ];
  }
  const device = deviceLink(key);
  const block: readonly Implementation[] = (await hasNbdDevices())
    ? [
        ['XenDisk', { params: device, extra: {}, backend_type: 'vbd' }],
        ['BlockDevice', { path: device }],
      ]
    : [];
  return [...block, ['Nbd', { uri: socket }]];
}

/** Whether a disk needs a block device of the kernel for a guest to have it. */
export async function needsBlockDevice(): Promise<boolean> {
  return !isTapbackRunning() && (await hasNbdDevices());
}
