import type { Handler } from '../../src/smapi/interface.ts';
import { sections } from './sections.ts';

/** How long one section may take, in ms. */
const sectionTimeout = 5_000;

/**
 * `Plugin.diagnostics`: what someone asks first who is to find a fault. It goes into bug reports: no
 * names of people, hosts, SRs or volumes, no hardware addresses or serial numbers, no secrets.
 *
 * Each section has its own deadline, and says so where it has nothing; none fails the call.
 */
export const diagnostics: Handler<'Plugin.diagnostics'> = async () => {
  const texts = await Promise.all(
    Object.entries(sections).map(async ([title, section]) => {
      const lines = await withDeadline(section).catch((error: unknown) => [
        `not available: ${error instanceof Error ? error.message : String(error)}`,
      ]);
      return [`== ${title} ==`, ...lines].join('\n');
    }),
  );
  return `${texts.join('\n\n')}\n`;
};

async function withDeadline(
  section: () => Promise<readonly string[]> | readonly string[],
): Promise<readonly string[]> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`it took more than ${sectionTimeout} ms`)), sectionTimeout);
  try {
    return await Promise.race([promise, section()]);
  } finally {
    clearTimeout(timer);
  }
}
