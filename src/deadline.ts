/**
 * The limit on how long a call may wait for its host's storage.
 *
 * A system call on storage that hangs does not return, and cannot be interrupted. xapi waits for a call for
 * ever and holds the volume's lock meanwhile: so a thread of its own answers for the one that hangs.
 */
import { posix } from './posix/index.ts';
import { PluginError, toWireError } from './smapi/errors.ts';
import { formatJson } from './smapi/json.ts';

/** Milliseconds; longer than calls wait for each other, so that whoever waits for a hung call names it. */
const defaultLimit = 40_000;

let call = '';
let speaksJson = false;
let set = false;

/** Names the call of this process, and how it answers. */
export function deadlineFor(entry: string, json: boolean): void {
  call = entry;
  speaksJson = json;
}

/**
 * From now on this call waits for something that may never come; unless that is said anew or the call ends
 * before, it fails then as `CallTimeout`, and its process ends as by `kill -9`.
 *
 * @param what what it waits for, such as `the storage of the SR in /srv/sr`.
 * @param limit milliseconds.
 */
export function waitsFor(what: string, limit = defaultLimit): void {
  if (call === '') return;
  // Tests do not have the time.
  const given = Number(process.env.GFS2_SR_DEADLINE_MS ?? limit);
  const error = new PluginError(
    'CallTimeout',
    `${call} has waited ${given / 1000} s for ${what}; look into the kernel's log and at that storage, and repeat the call once it answers.`,
  );
  const answer = speaksJson ? formatJson(toWireError(error)) : `${call}: ${error.message}`;
  posix().setDeadline(given, speaksJson ? 1 : 2, `${answer}\n`, error.message, launcher(), 1);
  set = true;
}

/** Whether this process is a call, which another of its threads can answer for. */
export function canAnswerForHung(): boolean {
  return call !== '';
}

/**
 * Answers for the thread of a call that hangs, from another thread, and ends the process; without effect when the call
 * has its answer.
 *
 * @param answer its result, as JSON.
 */
export function answerForHung(answer: string): void {
  posix().setDeadline(0, 1, `${answer}\n`, '', launcher(), 0);
}

function launcher(): number {
  return Number(process.env.GFS2_SR_LAUNCHER ?? 0);
}

/** The call has its answer: it can wait for nothing any more. */
export function endDeadline(): void {
  if (set) posix().endDeadline();
}
