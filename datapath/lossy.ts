/** What Datapath.detach does otherwise than deactivate: nothing stands in its way. */
import { log } from '../src/log.ts';
import { PluginError } from '../src/smapi/errors.ts';

/** Milliseconds that anyone has to let go; what is not done by then goes on without us. */
export const lossyTimeout = 1_000;

/** With `lossy`, what fails is logged, and does not stand in the way. */
export async function tolerate(lossy: boolean, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!lossy || !(error instanceof PluginError)) throw error;
    log('error', error.message);
  }
}
