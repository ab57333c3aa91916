/** What a call finds when its process starts: one that stands by takes only calls that would find the same. */
import { readFileSync, statSync } from 'node:fs';

/** Variables that this program, or what it uses, reads; relay.cc sends these. */
const relevant = /^(PATH|HOME|TZ|DBUS_SYSTEM_BUS_ADDRESS|GFS2_SR_.*)$/;
/** Those that are for one call alone. */
const passing = /^GFS2_SR_(LAUNCHER|COLD|ENDED)=/;

/** A bundle as it is on the disk. */
export function bundleIdentity(bundle: string): string {
  const { dev, ino, size, mtimeNs } = statSync(bundle, { bigint: true });
  const seconds = mtimeNs / 1_000_000_000n;
  return `${dev}:${ino}:${size}:${seconds}.${String(mtimeNs % 1_000_000_000n).padStart(9, '0')}`;
}

/** Whether variables, as `NAME=value`, are those of this process. */
export function hasSameVariables(given: readonly string[]): boolean {
  const own = Object.entries(process.env).flatMap(([name, value]) =>
    relevant.test(name) ? [`${name}=${value}`] : [],
  );
  const comparable = (variables: readonly string[]): string =>
    JSON.stringify(variables.filter((each) => !passing.test(each)).toSorted());
  return comparable(given) === comparable(own);
}

/** Whether another process sees what this one sees, and is held to what this one is. */
export function isInSamePlace(pid: number): boolean {
  try {
    const seen = (path: string): string => {
      const { dev, ino } = statSync(path, { bigint: true });
      return `${dev}:${ino}`;
    };
    const said = (path: string): string => readFileSync(path, 'utf8');
    const rights = (path: string): string =>
      said(path)
        .match(/^(Uid|Gid|Groups|Cap|NoNew|Seccomp).*$/gm)
        ?.join() ?? '';
    const places = ['root', 'ns/mnt', 'ns/net', 'ns/pid', 'ns/ipc', 'ns/uts', 'ns/user'];
    const [theirs, ours] = [`/proc/${pid}`, '/proc/self'];
    return (
      places.every((place) => seen(`${theirs}/${place}`) === seen(`${ours}/${place}`)) &&
      ['cgroup', 'limits'].every((file) => said(`${theirs}/${file}`) === said(`${ours}/${file}`)) &&
      rights(`${theirs}/status`) === rights(`${ours}/status`)
    );
  } catch {
    return false;
  }
}
