import { qcow2FilePlugin } from '../datapath/qcow2+file/calls.ts';
import { rawBlockPlugin } from '../datapath/raw+block/calls.ts';
import { rawFilePlugin } from '../datapath/raw+file/calls.ts';
import { vhdFilePlugin } from '../datapath/vhd+file/calls.ts';
import type { Plugin } from '../src/smapi/interface.ts';
import { volumePlugin } from '../volume/calls.ts';

/** A plugin as it is installed. */
export interface InstalledPlugin {
  /** `volume` or `datapath`. */
  readonly kind: 'volume' | 'datapath';
  /** Its folder's name: xapi's queue name for a volume plugin, the URI scheme for a datapath plugin. */
  readonly name: string;
  /** The main program, from the project's root. */
  readonly main: string;
  readonly calls: Plugin;
}

/** All plugins that `make install` installs. */
export const plugins: readonly InstalledPlugin[] = [
  { kind: 'volume', name: 'org.xen.xapi.storage.gfs2', main: 'volume/main.ts', calls: volumePlugin },
  { kind: 'datapath', name: 'raw+block', main: 'datapath/raw+block/main.ts', calls: rawBlockPlugin },
  { kind: 'datapath', name: 'raw+file', main: 'datapath/raw+file/main.ts', calls: rawFilePlugin },
  { kind: 'datapath', name: 'qcow2+file', main: 'datapath/qcow2+file/main.ts', calls: qcow2FilePlugin },
  { kind: 'datapath', name: 'vhd+file', main: 'datapath/vhd+file/main.ts', calls: vhdFilePlugin },
];

/** A program for people, in `/usr/sbin`. */
export interface InstalledProgram {
  readonly name: string;
  /** The main program, from the project's root. */
  readonly main: string;
}

/** All programs that `make install` installs. */
export const programs: readonly InstalledProgram[] = [{ name: 'gfs2-sr', main: 'cli/main.ts' }];
