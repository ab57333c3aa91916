/** The machine's own apt sources, as far as they carry the box's Debian release. */

/** The fields that {@link debianSources} reads, as `apt-get indextargets --format` takes them. */
export const indexTargetsFormat =
  '$(CREATED_BY)\t$(ORIGIN)\t$(CODENAME)\t$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)';

/**
 * Lines for a sources.list, from the output of `apt-get indextargets --format <indextargetsFormat>`: those
 * sources that say of themselves that they are Debian, of a release and of its updates.
 */
export function debianSources(indexTargets: string, release: string): readonly string[] {
  const lines = new Set<string>();
  for (const line of indexTargets.split('\n')) {
    const [createdBy, origin, codename, uri, suite, component] = line.split('\t');
    if (createdBy !== 'Packages' || origin !== 'Debian') continue;
    if (codename !== release && codename?.startsWith(`${release}-`) !== true) continue;
    lines.add(`deb ${uri} ${suite} ${component}`);
  }
  return [...lines];
}

/** Options for another apt, from the output of `apt-config dump`: how to reach and how to trust archives. */
export function transportOptions(dump: string): readonly string[] {
  return dump
    .split('\n')
    .filter((line) => /^Acquire::(https?::|Retries|Check-)/i.test(line))
    .map((line) => line.replace(/;$/, ''));
}
