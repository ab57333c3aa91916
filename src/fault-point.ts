/**
 * Dies here, as by `kill -9`, when a test asks for it by `GFS2_SR_FAULT=<name>`: so tests stop a call
 * between any two of its steps. The shipped bundle defines the variable away.
 *
 * @param name `<call>.<last step done>`, such as `activate.bound`.
 */
export function faultPoint(name: string): void {
  if (process.env.GFS2_SR_FAULT === name) process.kill(process.pid, 'SIGKILL');
}
