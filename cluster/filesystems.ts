/** The clustered gfs2 filesystems of this host. */
import { listFolder, readText } from '../src/proc.ts';

/** A gfs2 that this host's kernel has, and that other hosts may have, too. */
export interface ClusterFilesystem {
  /** `CLUSTER:NAME`; the part after the colon is its lockspace's name. */
  readonly lockTable: string;
  /** Where it is mounted, as this process sees it: nowhere, if only another mount namespace has it. */
  readonly mountPoints: readonly string[];
}

const folder = '/sys/fs/gfs2';

/** Every gfs2 that is mounted on this host, in whichever mount namespace, and locks with dlm. Touches none. */
export function clusterFilesystems(): readonly ClusterFilesystem[] {
  const mountinfo = readText('/proc/self/mountinfo') ?? '';
  return listFolder(folder)
    .filter((table) => readText(`${folder}/${table}/lock_module/proto_name`) === 'lock_dlm')
    .map((lockTable) => ({
      lockTable,
      mountPoints: parseMountPoints(mountinfo, readText(`${folder}/${lockTable}/id`) ?? ''),
    }));
}

/**
 * Reads where a device is mounted from mountinfo; see proc_pid_mountinfo(5).
 *
 * @param device `MAJOR:MINOR`
 */
export function parseMountPoints(mountinfo: string, device: string): readonly string[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [, , number, , point = ''] = line.split(' ');
    if (number !== device) return [];
    // Spaces and the like are spelt in octal.
    return [
      point.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    ];
  });
}
