/** A gfs2 that is somebody else's. */
import { strict as assert } from 'node:assert';
import type { LunName } from '../../lab/target.ts';
import type { Stage } from '../scenario.ts';
import { lunConfig } from '../support/sr.ts';
import { expectNoTraces } from '../support/traces.ts';

const lun: LunName = { target: 'pool', number: 300 };

const filesystems = {
  'of a single host': { options: ['-p', 'lock_nolock'], says: /lock_nolock/ },
  'of another cluster': { options: ['-p', 'lock_dlm', '-t', 'theirs:files'], says: /theirs/ },
};

/** Neither made an SR of nor attached, nor written to. */
export async function foreignFilesystems({ host, target, step, afterwards }: Stage): Promise<void> {
  const only = host(1);
  afterwards(() => target.erase(lun));
  const configuration = await lunConfig(target, lun);
  for (const [what, { options, says }] of Object.entries(filesystems)) {
    await step(`a gfs2 ${what}`, async () => {
      await target.erase(lun);
      const uuid = crypto.randomUUID();
      await target.runOn(lun, ['mkfs.gfs2', '-K', '-O', '-q', '-j', '2', '-J', '8', '-U', uuid, ...options]);
      const before = await target.changes([lun]);
      const create = await only.refusal('SR.create', {
        uuid: crypto.randomUUID(),
        configuration,
        name: 'over another',
        description: '',
      });
      assert.equal(create.params[0], 'LunNotEmpty', create.message);
      assert.match(create.sentence, says);
      const attach = await only.refusal('SR.attach', { configuration: { ...configuration, sr_uuid: uuid } });
      assert.equal(attach.params[0], 'SRMissing', attach.message);
      assert.match(attach.sentence, says);
      assert.deepEqual(await target.changes([lun]), before, 'the LUN was written');
      await expectNoTraces(only, target);
      return `${create.sentence} | ${attach.sentence}`;
    });
  }
}
