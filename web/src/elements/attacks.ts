// What views of attacks share: what was attacked, what came of it, what is proven.

import { css, html, nothing, type TemplateResult } from 'lit';
import { visible, visibleLines } from '../text/visible';
import { method, question, truncation } from '../view/summary';
import { proof, verdict } from '../view/verdict';
import { isAttack, WireError } from '../wire/parse';
import type { AttackDocument, AttackResult } from '../wire/types';
import { GlossatorElement } from './base';
import './prediction-bars';
import { headline } from './prediction-bars';
import { shared } from './style';

export abstract class AttackView extends GlossatorElement {
  static override properties = { ...GlossatorElement.properties, result: { type: Number } };

  /** Only this result, counted from 0; all without it. */
  declare result: number | undefined;

  static override styles = [
    shared,
    css`
      section + section { margin-top: 1.5rem; }
      del { color: var(--_gone); text-decoration: line-through .1em; text-decoration-skip-ink: none; }
      ins { color: var(--_new); font-weight: 650; text-decoration: underline .12em; text-underline-offset: .2em; }
      .verdict { margin: .5rem 0; }
      .now { margin: .5rem 0; }
      .now prediction-bars { background: none; }
    `,
  ];

  protected get attacked(): AttackDocument {
    return this.documents[0] as AttackDocument;
  }

  protected override prepare(): void {
    const one = this.documents[0];
    if (one && !isAttack(one)) throw new WireError('expected an attack');
  }

  protected override draw(): TemplateResult {
    const document = this.attacked;
    const results =
      this.result === undefined
        ? document.results
        : document.results.slice(this.result, this.result + 1);
    const how = [...method(document.attack), visible(document.model.id)];
    const cut = truncation(document.truncated);
    return html`<p class="quiet">${how.map((item, i) => html`${i > 0 ? ' · ' : ''}<bdi>${item}</bdi>`)}</p>
      ${results.length === 0 ? html`<p class="verdict">there is nothing to attack</p>` : nothing}
      ${results.map((result) => this.section(document, result))}
      ${cut ? html`<p class="note">${cut}</p>` : nothing}`;
  }

  private section(document: AttackDocument, result: AttackResult): TemplateResult {
    const decision = question(document.input, document.original, result.target).replace(
      /^why /,
      '',
    );
    const [what, rest] = verdict(document, result);
    return html`<section>
      <h3>${decision}</h3>
      ${this.change(document, result)}
      <p class=${result.success ? 'verdict' : 'alert'}><strong>${what}</strong> ${rest}</p>
      <div class="now"><p>${headline(result.final, result.prediction)}</p>
        <prediction-bars plain palette=${this.palette} .data=${{ version: 1, model: document.model, input: result.final, prediction: result.prediction }}></prediction-bars></div>
      ${result.certificate ? html`<p class="note">${proof(document, result.certificate)}</p>` : nothing}
      ${this.others(result)}
      ${(result.notes ?? []).map((note) => html`<p class="note">${visible(note)}</p>`)}
    </section>`;
  }

  /** The text with what was changed in it. */
  protected abstract change(document: AttackDocument, result: AttackResult): TemplateResult;

  private others(result: AttackResult): TemplateResult | typeof nothing {
    const others = result.others ?? [];
    if (others.length === 0) return nothing;
    return html`<details><summary>${others.length} as good</summary>
      <ul>${others.map((texts) => html`<li><bdi>${visibleLines(texts.join(' / '))}</bdi></li>`)}</ul>
    </details>`;
  }

  /** The name of a field above its text, where there are several. */
  protected fieldName(document: AttackDocument, f: number): TemplateResult | typeof nothing {
    if (document.input.fields.length < 2) return nothing;
    return html`<h4><bdi>${visible(document.input.fields[f]!.name)}</bdi></h4>`;
  }
}
