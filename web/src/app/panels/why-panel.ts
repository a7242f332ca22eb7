// Why: each method's map beside the others.

import { html, nothing, type TemplateResult } from 'lit';
import '../../elements/generation-grid';
import '../../elements/method-comparison';
import { gridOf } from '../../view/grid';
import { question } from '../../view/summary';
import { unitCount, viewOf } from '../../view/units';
import type { MethodInfo, Problem } from '../../wire/http';
import type { Document } from '../../wire/types';
import type { Run } from '../state/run';
import { downloads } from './downloads';
import { Panel, problemBox, progressBox } from './panel';
import { settingsForm } from './settings-form';
import { targetForm } from './target-form';
import { viewBar } from './view-bar';

export class WhyPanel extends Panel {
  static override properties = { ...Panel.properties, problem: { state: true } };
  declare private problem: Problem | undefined;
  private documents: Document[] = [];

  protected override render(): TemplateResult | typeof nothing {
    const { session } = this;
    const { view, lists } = session;
    if (!lists) return nothing;
    const runs = view.methods.map((id) => ({ id, run: session.explanations.get(id) }));
    const documents = runs.flatMap(({ run }) => run?.value ?? []);
    // The same list while it has the same documents, so that nothing is drawn in vain.
    if (
      documents.some((one, i) => one !== this.documents[i]) ||
      documents.length !== this.documents.length
    ) {
      this.documents = documents;
    }
    const first = documents[0];
    const at = Math.min(view.explanation, Math.max((first?.explanations.length ?? 1) - 1, 0));
    const one = first?.explanations[at];
    const units = first && one ? unitCount(viewOf(first, one, { by: view.by })) : 1;
    return html`${targetForm(session)}
      ${this.methods(lists.methods.methods)}
      ${viewBar(session, units)}
      ${this.states(runs)}
      ${first ? this.decisions(first, at) : nothing}
      ${first && gridOf(first) ? this.grids() : nothing}
      ${
        first && one
          ? html`<method-comparison .data=${this.documents} .explanation=${at} .by=${view.by} .top=${view.top}
              .normalise=${view.normalise} .names=${this.titles(lists.methods.methods)} palette=${view.palette}></method-comparison>`
          : nothing
      }
      ${first && !one ? html`<token-heatmap .data=${first}></token-heatmap>` : nothing}
      ${this.files(documents)}`;
  }

  /** What runs and what failed; a problem that several methods have is told once. */
  private states(runs: Array<{ id: string; run: Run<Document> | undefined }>): TemplateResult[] {
    const told = new Set<string>();
    return runs.flatMap(({ id, run }) => {
      const detail = run?.problem?.detail;
      if (!run || (detail !== undefined && told.has(detail))) return [];
      if (detail !== undefined) told.add(detail);
      return [html`${progressBox(run, id)}`];
    });
  }

  /** What people call the methods of the documents. */
  private titles(all: MethodInfo[]): string[] {
    return this.documents.map(
      (one) => all.find(({ id }) => id === one.method.id)?.title ?? one.method.id,
    );
  }

  private methods(all: MethodInfo[]): TemplateResult {
    const { session } = this;
    const { view } = session;
    return html`<fieldset class="chips"><legend>methods</legend>
        ${all.map((one) => {
          const on = view.methods.includes(one.id);
          const last = on && view.methods.length === 1;
          return html`<label title=${one.summary}><input type="checkbox" name="method" value=${one.id} .checked=${on} ?disabled=${last}
            @change=${(event: Event) => session.toggle(one.id, (event.target as HTMLInputElement).checked)}>${one.title}</label>`;
        })}
      </fieldset>
      <details class="options"><summary>About the methods, and their settings</summary>
        <label class="inline"><input type="checkbox" id="preset" .checked=${view.preset} @change=${(
          event: Event,
        ) => {
          session.explainAll({ preset: (event.target as HTMLInputElement).checked });
        }}> as AllenNLP Interpret computed it, where it had the method</label>
        ${all.filter((one) => view.methods.includes(one.id)).map((one) => this.about(one))}
      </details>`;
  }

  private about(one: MethodInfo): TemplateResult {
    const { session } = this;
    const typed = session.view.settings[one.id] ?? {};
    return html`<section class="about-method">
      <h3>${one.title}</h3>
      <p>${one.summary}</p>
      <p class="note">${one.caution}</p>
      <p class="note">${one.citation} · cost: ${one.cost}</p>
      ${settingsForm(one.settings, typed, one.id, (name, value) => {
        session.set({
          settings: { ...session.view.settings, [one.id]: { ...typed, [name]: value } },
        });
        session.explain(one.id);
      })}
    </section>`;
  }

  /** One button for each entity, mask, answer or written token. */
  private decisions(first: Document, at: number): TemplateResult | typeof nothing {
    if (first.explanations.length < 2) return nothing;
    return html`<div class="decisions" role="group" aria-label="decisions">
      ${first.explanations.map(
        (one, e) => html`<button type="button" aria-pressed=${e === at ? 'true' : 'false'}
        @click=${() => this.session.set({ explanation: e })}>${question(first.input, first.prediction, one.target).replace(/^why /, '')}</button>`,
      )}
    </div>`;
  }

  private grids(): TemplateResult {
    const { palette } = this.session.view;
    return html`${this.documents.map(
      (one) => html`<figure>
      <figcaption class="note">${one.method.id}</figcaption>
      <generation-grid .data=${one} palette=${palette}
        @token-select=${(event: CustomEvent<{ row: number }>) => this.session.set({ explanation: event.detail.row })}></generation-grid>
    </figure>`,
    )}`;
  }

  private files(documents: Document[]): TemplateResult | typeof nothing {
    if (documents.length === 0) return nothing;
    const { session } = this;
    return html`<div class="files">${documents.map(
      (one) => html`<div><span class="note">${one.method.id}:</span>
        ${downloads(
          session,
          '/v1/explain',
          ['svg', 'html', 'json', 'csv'],
          () => session.request(one.method.id),
          one.method.id,
          (problem) => {
            this.problem = problem;
          },
        )}</div>`,
    )}
      ${problemBox(this.problem)}</div>`;
  }
}

customElements.define('why-panel', WhyPanel);
