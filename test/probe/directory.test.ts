/** SR.probe with provider=path, by whole calls. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { VolumeHost } from '../support/volume-host.ts';

describe('a directory', () => {
  it('is a place for an SR, and says what is in it', async () => {
    using host = new VolumeHost();
    const configuration = { provider: 'path', path: host.path };
    expect(await host.call('SR.probe', { configuration })).toEqual([
      { configuration, complete: true, extra_info: { carries: 'nothing' } },
    ]);
    writeFileSync(join(host.path, 'notes.txt'), 'mine');
    expect(await host.call('SR.probe', { configuration })).toMatchObject([
      { complete: true, extra_info: { carries: 'other files' } },
    ]);
  });

  it('shows the SR that is in it, with what SR.attach needs', async () => {
    using host = new VolumeHost();
    const handle = await host.makeSr();
    await host.call('SR.detach', { sr: handle });
    const [row] = await host.call('SR.probe', { configuration: { provider: 'path', path: host.path } });
    expect(row).toMatchObject({
      complete: true,
      sr: { uuid: host.uuid, name: 'an SR', description: 'for a test', clustered: false },
    });
    expect(await host.call('SR.attach', { configuration: row?.configuration ?? {} })).toBe(handle);
  });

  it('that is not there is an error that names it', async () => {
    using host = new VolumeHost();
    const path = join(host.folder, 'nowhere');
    const { params } = await host.failure('SR.probe', { configuration: { provider: 'path', path } });
    expect(params[1]).toContain(path);
  });
});
