/** A catalog's rows and an SR's files while they are compared, and what comes of that. */
import type { Image } from '../catalog/images.ts';
import type { Contents, StoredVolume } from './contents.ts';
import type { FoundFiles, ImageFile, ImageHeader, SeenImage } from './files.ts';
import type { Finding } from './findings.ts';

/** What a diagnosis is made from. */
export interface Evidence {
  readonly contents: Contents;
  /** Whether the rows are of a time before the files: then the files are right about themselves. */
  readonly restored: boolean;
  /** Images at which a call is at work, or was when it died: they are left to whoever settles them. */
  readonly unsettled: ReadonlySet<string>;
  readonly files: FoundFiles;
  /** Whether volumes without their files are to be removed. */
  readonly removesLost: boolean;
}

/** An image's file whose header could be read. */
export interface GoodFile extends ImageFile {
  readonly seen: SeenImage & { readonly header: ImageHeader };
}

/** The state of a diagnosis: rows as they are to become, and what was found on the way. */
export class Diagnosis {
  readonly evidence: Evidence;
  readonly images: Map<string, Image>;
  readonly volumes: Map<string, StoredVolume>;
  readonly findings: Finding[] = [];
  readonly notes: string[] = [];
  /** Images that had no row. */
  readonly adopted = new Set<string>();
  /** Images that were frozen since their volumes' rows were written, which have other images now. */
  readonly left = new Set<string>();
  /** Images whose files are to be made what the rows say. */
  readonly unsettled: Image[] = [];

  constructor(evidence: Evidence) {
    this.evidence = evidence;
    this.images = new Map(evidence.contents.images);
    this.volumes = new Map(evidence.contents.volumes);
  }

  /** An image's file, as its row names it. */
  fileOf({ uuid, format }: Pick<Image, 'uuid' | 'format'>): ImageFile | undefined {
    return this.evidence.files.images.get(`${uuid}.${format}`);
  }

  /** The file of the image of some uuid, of any format. */
  fileOfUuid(uuid: string): ImageFile | undefined {
    const row = this.images.get(uuid);
    const own = row === undefined ? undefined : this.fileOf(row);
    return own ?? this.evidence.files.images.values().find((file) => file.uuid === uuid);
  }

  /** Whether a call is at work at an image, or will settle what one left. */
  isUnsettled(uuid: string): boolean {
    return this.evidence.unsettled.has(uuid);
  }

  /** Images by their parents. */
  children(): ReadonlyMap<string | undefined, readonly Image[]> {
    return Map.groupBy(this.images.values(), ({ parent }) => parent);
  }

  /** Volumes by their images. */
  users(): ReadonlyMap<string, readonly StoredVolume[]> {
    return Map.groupBy(this.volumes.values(), ({ image }) => image);
  }

  /** An image, its parent and so on, as far as there are rows; a ring ends where it closes. */
  chain(uuid: string): readonly string[] {
    const found = new Set<string>();
    for (let next: string | undefined = uuid; next !== undefined && !found.has(next); ) {
      found.add(next);
      next = this.images.get(next)?.parent;
    }
    return [...found];
  }

  find(finding: Finding): void {
    this.findings.push(finding);
  }
}

/** Whether an image can be used by what it says itself. */
export function isGood(file: ImageFile | undefined): file is GoodFile {
  return file?.seen !== undefined && 'virtualSize' in file.seen.header;
}
