/** Who waits for this process's call: the relay of a call that was taken, or else whoever started the process. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { posix } from '../posix/index.ts';

let socket: number | undefined;

/** From now on this process's exit code goes to the relay at the other end of a socket. */
export function answerTo(caller: number): void {
  socket = caller;
  // As the launcher is told by signals, see deadline.ts.
  process.env.GFS2_SR_LAUNCHER = String(-caller);
}

/** Tells the relay, if there is one, that the call is over, and lets its standard streams go. */
export function tellCaller(exitCode: number): void {
  if (socket === undefined) return;
  try {
    const nothing = openSync('/dev/null', 'r+');
    posix().takeStreams([openSync('/dev/null', 'r+'), openSync('/dev/null', 'r+'), nothing]);
    writeSync(socket, Buffer.of(exitCode));
    closeSync(socket);
  } catch {
    // It is gone.
  }
  socket = undefined;
}
