import { createRequire } from 'node:module';
import { afterAll } from 'vitest';

interface SanitizedAddon {
  checkLeaks(): void;
  plantLeak(): void;
}

// Only the addon that asan.sh builds has these.
const addon = createRequire(import.meta.url)(process.env.ISCSI_INITIATOR_ADDON ?? '') as SanitizedAddon;

if (process.env.ASAN_PLANT_LEAK) addon.plantLeak();
afterAll(() => addon.checkLeaks());
