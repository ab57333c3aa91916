/**
 * What a run has made and must take away again, in reverse order, also when it is interrupted.
 *
 * An interrupt (Ctrl-C, a termination) never breaks into a step: the step ends, the next `check` throws,
 * and everything is undone.
 */
export class UndoStack {
  readonly #steps: { what: string; undo: () => Promise<unknown> }[] = [];
  #interrupt: NodeJS.Signals | undefined;

  constructor() {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        this.#interrupt = signal;
      });
    }
  }

  /** The signal that asked the run to end. */
  get interrupt(): NodeJS.Signals | undefined {
    return this.#interrupt;
  }

  /** @throws Error when the run was asked to end. */
  check(): void {
    if (this.#interrupt !== undefined) throw new Error(`interrupted by ${this.#interrupt}`);
  }

  /** Remembers how to undo what was just done. */
  push(what: string, undo: () => Promise<unknown>): void {
    this.#steps.push({ what, undo });
  }

  /**
   * Undoes everything, the last first.
   *
   * @param tell is told of each step that was undone.
   * @returns what could not be undone.
   */
  async unwind(tell: (what: string) => void): Promise<readonly string[]> {
    const failures: string[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        // An interrupt may have hit the first try; every step can be repeated.
        await step.undo().catch(step.undo);
        tell(step.what);
      } catch (error) {
        failures.push(`${step.what}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return failures;
  }
}
