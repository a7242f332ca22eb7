// What all panels do: draw the session again whenever it changes, into the page itself, so that one
// style sheet serves the whole page.

import { html, LitElement, nothing, type TemplateResult } from 'lit';
import type { Problem } from '../../wire/http';
import type { Run } from '../state/run';
import type { Session } from '../state/session';

export abstract class Panel extends LitElement {
  static override properties = { session: { attribute: false } };
  declare session: Session;
  private readonly changed = () => this.requestUpdate();

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.session.addEventListener('change', this.changed);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.session.removeEventListener('change', this.changed);
  }
}

/** What went wrong, and what to do. */
export function problemBox(problem: Problem | undefined): TemplateResult | typeof nothing {
  if (!problem) return nothing;
  return html`<div class="problem" role="alert">
    <p><strong>${problem.title}</strong> <code>${problem.code}</code></p>
    <p>${problem.detail}</p>
    ${problem.hint ? html`<p class="hint">${problem.hint}</p>` : nothing}
  </div>`;
}

/** How far a request is, with a way to give it up; its problem, if it has one. */
export function progressBox(run: Run<unknown>, name: string): TemplateResult | typeof nothing {
  if (run.state === 'failed') return problemBox(run.problem);
  if (run.state === 'cancelled') return html`<p class="note" role="status">${name}: cancelled</p>`;
  if (!run.running) return nothing;
  const progress = run.progress;
  let how = 'asked';
  if (progress?.state === 'queued') {
    const before = progress.position ?? 0;
    how = before === 0 ? 'next in the queue' : `${before} before it in the queue`;
  } else if (progress) {
    const seconds = (progress.elapsed_ms / 1000).toFixed(1);
    how = `${progress.evaluations} evaluations, ${seconds} s`;
  }
  return html`<div class="progress">
    <span class="spinner" aria-hidden="true"></span>
    <span role="status">${name}: ${how}</span>
    <button type="button" class="small" @click=${() => run.cancel()}>Cancel<span class="hidden"> ${name}</span></button>
  </div>`;
}

/** Names of tasks for people. */
export function taskName(task: string): string {
  return (
    {
      'text-classification': 'text classification',
      'token-classification': 'named entities',
      'question-answering': 'question answering',
      'masked-lm': 'masked language model',
      'causal-lm': 'language model',
      'seq2seq-lm': 'sequence to sequence',
      'sentence-similarity': 'sentence similarity',
    }[task] ?? task
  );
}

/** The value of the field that an event is about. */
export function fieldValue(event: Event): string {
  return (event.target as HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement).value;
}
