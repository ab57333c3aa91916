/** Child processes that are not to outlive this process, unless it is killed. */
import type { ChildProcess } from 'node:child_process';

const children = new Set<ChildProcess>();
const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Has a child ended by SIGTERM when this process exits or is told to end, until the returned function is called. */
export function endWithUs(child: ChildProcess): () => void {
  if (children.size === 0) {
    process.on('exit', endAll);
    for (const signal of signals) process.on(signal, endByDefault);
  }
  children.add(child);
  return () => {
    children.delete(child);
    if (children.size === 0) forgetAll();
  };
}

function endAll(): void {
  for (const child of children) child.kill('SIGTERM');
}

/** To listen to a signal is to keep it from ending this process: that is for who else listens to decide. */
function endByDefault(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  endAll();
  forgetAll();
  process.kill(process.pid, signal);
}

function forgetAll(): void {
  process.off('exit', endAll);
  for (const signal of signals) process.off(signal, endByDefault);
}
