import { loadAddon } from '../addon.ts';

/** System calls that Node lacks. */
interface Posix {
  /** flock(2); answers 0 or the errno. */
  flock(fd: number, operation: number): number;
  /** syslog(3), as `gfs2-sr`, facility daemon. */
  syslog(priority: number, text: string): void;
  /** fgetxattr(2) of at most 256 bytes; answers the text, or the errno. */
  getXattr(fd: number, name: string): string | number;
  /** fsetxattr(2); answers 0 or the errno. */
  setXattr(fd: number, name: string, text: string): number;
  /**
   * Unless it is set again or ended by then, ends this process with an exit code after `answer` was written to `fd`
   * and `line`, unless empty, to syslog; `launcher` is its parent, which is told by SIGUSR1, or by SIGUSR2 of the exit
   * code 0; or minus the descriptor of a socket, which gets the exit code; or 0. All threads of a process have one
   * deadline.
   */
  setDeadline(
    milliseconds: number,
    fd: number,
    answer: string,
    line: string,
    launcher: number,
    exitCode: 0 | 1,
  ): void;
  /** From its return on, no deadline ends this process, nor does one that is set later. */
  endDeadline(): void;
  /** _exit(2): at once, without a word to anything that is under way in this process. */
  exit(code: number): never;
  /** renameat2(2) with RENAME_EXCHANGE: each name gets what the other had; answers 0 or the errno. */
  exchange(path: string, other: string): number;
  /** Zeroed memory that begins at a page, as direct I/O needs it. */
  alignedBuffer(length: number): Buffer;
  /** socketpair(2) of SOCK_SEQPACKET; answers its ends, or the errno. */
  socketPair(): [number, number] | number;
  /** Sends descriptors (SCM_RIGHTS), 253 at most, in a message with a number of 32 bits; answers 0 or the errno. */
  sendDescriptors(socket: number, note: number, descriptors: readonly number[]): number;
  /** A socket's first message, which stays there if `peek` is 1; answers the errno where none is. */
  receiveDescriptors(
    socket: number,
    peek: 0 | 1,
  ): { readonly note: number; readonly descriptors: readonly number[] } | number;
  /** How many such messages wait at a socket (SIOCINQ), or minus the errno. */
  queuedMessages(socket: number): number;
  /** pidfd_getfd(2), since Linux 5.6: a duplicate of another process's descriptor, or minus the errno. */
  descriptorOf(pid: number, descriptor: number): number;
  /**
   * A blocking stream socket that is connected, or minus the errno; the milliseconds, here and below, are for each
   * read and write, and 0 is no limit.
   */
  connectUnix(path: string, milliseconds: number): number;
  /** A blocking socket to the kernel (netlink(7)), or minus the errno. */
  netlinkSocket(protocol: number, milliseconds: number): number;
  /** Answers 0 or the errno. */
  setSocketTimeout(socket: number, milliseconds: number): number;
  /** A socket of SOCK_SEQPACKET that listens, or minus the errno. */
  listenAt(path: string): number;
  /** The socket of a caller of this process's user; minus ETIMEDOUT where nobody came, or minus another errno. */
  acceptCaller(listener: number, milliseconds: number): number;
  /** A caller's request and its standard streams, or the errno. */
  receiveCall(
    socket: number,
    milliseconds: number,
  ): { readonly request: string; readonly streams: readonly [number, number, number] } | number;
  /** Makes descriptors this process's standard streams; answers 0 or the errno. */
  takeStreams(streams: readonly [number, number, number]): number;
}

let loaded: Posix | undefined;

/**
 * The system calls, from the addon.
 *
 * @throws PluginError when the addon is missing or does not fit.
 */
export function posix(): Posix {
  loaded ??= loadAddon('posix') as Posix;
  return loaded;
}
