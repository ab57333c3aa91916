import { main } from '../src/main.ts';
import { volumePlugin } from './calls.ts';
import { loadProvider } from './providers/provider.ts';
import { findAttached, listAttached } from './sr/attached.ts';

void main(volumePlugin, async () => {
  await import('../src/commands.ts');
  for (const uuid of listAttached()) {
    const sr = findAttached(uuid);
    if (sr !== undefined) await loadProvider(sr.provider);
  }
});
