// One thing that is asked for again and again: only the latest answer counts.

import type { JobProgress, Problem } from '../../wire/http';
import { ApiError, type Watch } from '../api/client';

export type RunState = 'idle' | 'running' | 'done' | 'failed' | 'cancelled';

export class Run<T> {
  state: RunState = 'idle';
  /** The latest answer; that of an earlier request stays until a new one is there. */
  value: T | undefined;
  problem: Problem | undefined;
  progress: JobProgress | undefined;
  /** Milliseconds that the latest answer took. */
  took: number | undefined;
  private controller: AbortController | undefined;

  constructor(private readonly changed: () => void) {}

  get running(): boolean {
    return this.state === 'running';
  }

  /** Starts a request; an earlier one is cancelled, and its late answer dropped. */
  async start(ask: (watch: Watch) => Promise<T>): Promise<void> {
    this.controller?.abort();
    const controller = new AbortController();
    this.controller = controller;
    const latest = () => this.controller === controller;
    this.set({ state: 'running', problem: undefined, progress: undefined });
    const began = performance.now();
    try {
      const value = await ask({
        signal: controller.signal,
        progress: (progress) => {
          if (latest()) this.set({ progress });
        },
      });
      if (latest()) this.set({ state: 'done', value, took: performance.now() - began });
    } catch (error) {
      if (!latest()) return;
      const problem = problemOf(error);
      const given = controller.signal.aborted || problem.code === 'cancelled';
      this.set(given ? { state: 'cancelled' } : { state: 'failed', problem, value: undefined });
    }
  }

  /** Gives up what is running. */
  cancel(): void {
    if (!this.running) return;
    this.controller?.abort();
    this.set({ state: 'cancelled' });
  }

  /** Forgets the answer, and gives up what is running. */
  clear(): void {
    this.controller?.abort();
    this.controller = undefined;
    this.set({ state: 'idle', value: undefined, problem: undefined, progress: undefined });
  }

  private set(
    patch: Partial<Pick<Run<T>, 'state' | 'value' | 'problem' | 'progress' | 'took'>>,
  ): void {
    Object.assign(this, patch);
    this.changed();
  }
}

export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  const detail = error instanceof Error ? error.message : String(error);
  return { type: 'about:blank', title: 'Failed', status: 0, detail, code: 'internal', hint: null };
}
