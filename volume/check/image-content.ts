/** The inner order of qcow2 images: qemu-img tells it, under the image's lock. */
import { fstatSync } from 'node:fs';
import { endGivingWay, isAskedToGiveWay, offerToGiveWay } from '../../src/locks/giving-way.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { ImageLocks } from '../images/lock.ts';
import { qemuImg } from '../images/qemu-img.ts';
import { imageFile } from '../layout/sr-folder.ts';
import type { AttachedSr } from '../sr/attached.ts';
import type { Diagnosis } from './diagnosis.ts';
import { isGood } from './diagnosis.ts';
import type { ImageFile } from './files.ts';
import type { Report } from './findings.ts';

/** Milliseconds for one image: all its tables are read. */
const limit = 3_600_000;
/** Milliseconds between looks at who needs an image. */
const lookInterval = 200;

/** Images whose inner order can be looked at: qcow2, and usable. */
export function checkableImages({ images, evidence }: Diagnosis): readonly ImageFile[] {
  return [...images.values()].flatMap((image) => {
    const file = evidence.files.images.get(`${image.uuid}.${image.format}`);
    return image.format === 'qcow2' && isGood(file) && file.user === undefined ? [file] : [];
  });
}

/**
 * Looks into images one by one. The caller has no lock: an image that is meanwhile taken, or removed, is left out,
 * and one that is being looked at can be read by others, and not be written.
 */
export async function checkContents(sr: AttachedSr, files: readonly ImageFile[]): Promise<Report> {
  const findings: Report['findings'][number][] = [];
  const notes: string[] = [];
  for (const file of files) {
    const { name } = file;
    using locks = new ImageLocks(sr, { background: true });
    if (!(await locks.take(file, 'shared'))) {
      notes.push(`The image ${name} is in use by now, and was not looked into.`);
      continue;
    }
    const fd = locks.fd(file);
    // Removed meanwhile, or replaced by what a merge made.
    if (fd === undefined || fstatSync(fd).nlink === 0) continue;
    using needed = new Needed(fd, ((file.seen?.mode ?? 0) & 0o200) !== 0);
    try {
      const { leaks, corruptions } = await runCheck(imageFile(sr.path, file), fd, needed.signal);
      if (corruptions > 0) {
        findings.push({
          what: `The image ${name} has ${corruptions} errors in its tables`,
          advice: 'copy the data of its volume, or run qemu-img check -r all on it while nothing uses it',
        });
      } else if (leaks > 0) {
        findings.push({
          what: `The image ${name} has ${leaks} clusters that nothing refers to`,
          repair: 'frees them',
          mend: { kind: 'leaks', image: file },
        });
      }
    } catch (error) {
      if (needed.signal.aborted) {
        notes.push(`The image ${name} was needed before all of it was looked into.`);
        continue;
      }
      if (!(error instanceof PluginError)) throw error;
      findings.push({
        what: `The image ${name} could not be checked (${error.message.replace(/[.;]$/, '')})`,
        advice: 'see whether its storage is well',
      });
    }
  }
  return { findings, notes };
}

/** Frees clusters of an image that nothing refers to. The caller has its lock, exclusively, as `fd`. */
export async function freeLeaks(file: string, fd: number): Promise<void> {
  await qemuImg(['check', '-q', '-r', 'leaks', alone(file)], file, {
    inherit: [fd],
    timeout: limit,
    expect: [0, 3],
  });
}

/** Watches whether someone needs an image that is being looked into; only what can be written is needed alone. */
class Needed implements Disposable {
  readonly #fd: number;
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(fd: number, isWritable: boolean) {
    this.#fd = fd;
    if (!isWritable) return;
    offerToGiveWay(fd);
    this.#timer = setInterval(() => {
      if (isAskedToGiveWay(fd)) this.#controller.abort();
    }, lookInterval);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    endGivingWay(this.#fd);
  }
}

async function runCheck(
  file: string,
  fd: number,
  signal: AbortSignal,
): Promise<{ leaks: number; corruptions: number }> {
  const { stdout } = await qemuImg(['check', '--output=json', alone(file)], file, {
    inherit: [fd],
    signal,
    timeout: limit,
    // 2: corruptions, 3: leaks (qemu-img(1)).
    expect: [0, 2, 3],
  });
  const {
    leaks = 0,
    corruptions = 0,
    'check-errors': errors = 0,
  } = JSON.parse(stdout) as Record<string, number>;
  return { leaks, corruptions: corruptions + errors };
}

/** An image by itself: no parent is opened, whatever its header names. */
function alone(filename: string): string {
  return `json:${JSON.stringify({ driver: 'qcow2', file: { driver: 'file', filename }, backing: null })}`;
}
