/** A process that has loaded its plugin, and takes one call. */
import { closeSync, fstatSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { setPriority } from 'node:os';
import { posix } from '../posix/index.ts';
import { listFolder } from '../proc.ts';
import { answerTo } from './caller.ts';
import { standbyPlaces } from './places.ts';
import { standbyLock } from './successor.ts';

/** Milliseconds to stand by for; calls come in rows, and nobody is to keep memory for one that does not come. */
const idleLimit = 300_000;
/** Milliseconds between looks whether anybody can still come. */
const lookEvery = 2_000;
/** Milliseconds for a caller to send its request. */
const requestLimit = 2_000;

/** A call that was taken; its standard streams are this process's. */
export interface TakenCall {
  readonly entry: string;
  readonly argv: readonly string[];
}

/**
 * Stands by for a call, with the event loop at a standstill.
 *
 * @param plugin its name, whose lock this process has inherited.
 * @param circumstances what those find whose calls are taken; others are refused.
 */
export function standBy(plugin: string, bundle: string, circumstances: string): TakenCall | undefined {
  const { lock, socket } = standbyPlaces(plugin);
  // Where the file has lost its name, others may have one of that name.
  const hasLock = (): boolean => inodeOf(lock) === fstatSync(standbyLock).ino;
  const version = versionOf(bundle);
  if (!hasLock()) return undefined;
  const own = `${socket}.${process.pid}`;
  rmSync(own, { force: true });
  const listener = posix().listenAt(own);
  if (listener < 0) return undefined;
  renameSync(own, socket);
  const inode = inodeOf(socket);
  const canBeFound = (): boolean => inodeOf(socket) === inode && hasLock() && versionOf(bundle) === version;
  for (const end = performance.now() + idleLimit; performance.now() < end && canBeFound(); ) {
    const caller = posix().acceptCaller(listener, lookEvery);
    if (caller < 0) continue;
    const taken = takeCall(caller, circumstances);
    if (taken === undefined) continue;
    // Who comes now is not to wait for this one.
    rmSync(socket, { force: true });
    closeSync(listener);
    closeSync(standbyLock);
    return taken;
  }
  if (canBeFound()) rmSync(socket, { force: true });
  return undefined;
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

function versionOf(bundle: string): string {
  const { ino, size, mtimeMs } = statSync(bundle, { throwIfNoEntry: false }) ?? {};
  return `${ino} ${size} ${mtimeMs}`;
}

function takeCall(caller: number, circumstances: string): TakenCall | undefined {
  const refuse = (): undefined => {
    closeSync(caller);
    return undefined;
  };
  if (!say(caller, 't')) return refuse();
  const received = posix().receiveCall(caller, requestLimit);
  if (typeof received === 'number') return refuse();
  const { request, streams } = received;
  const [found, priority, entry = '', ...argv] = request.split('\0').slice(0, -1);
  if (found !== circumstances || posix().takeStreams(streams) !== 0) {
    for (const stream of streams) closeQuietly(stream);
    say(caller, 'r');
    return refuse();
  }
  takePriority(Number(priority));
  answerTo(caller);
  return { entry, argv };
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {}
}

/** It was started with less, so as not to be in the way of calls. */
function takePriority(priority: number): void {
  for (const thread of listFolder('/proc/self/task')) {
    try {
      setPriority(Number(thread), priority);
    } catch {}
  }
}

/** Whether a caller was told; one that is gone is not waited for. */
function say(caller: number, word: string): boolean {
  try {
    return writeSync(caller, word) === 1;
  } catch {
    return false;
  }
}
