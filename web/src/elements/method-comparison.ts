// <method-comparison>: the maps of several methods, one above the other, and how far they agree.

import { css, html, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { typeset } from '../text/numbers';
import { label, visible } from '../text/visible';
import { sameUnit, spearman } from '../view/agreement';
import type { Normalise } from '../view/scale';
import * as say from '../view/summary';
import { type By, type Unit, type View, viewOf } from '../view/units';
import { isExplained, WireError } from '../wire/parse';
import type { Document } from '../wire/types';
import { define, GlossatorElement, type TokenDetail } from './base';
import { meaning } from './legend';
import { shades, shared } from './style';
import './token-heatmap';
import type { TokenHeatmap } from './token-heatmap';

export class MethodComparison extends GlossatorElement {
  static override properties = {
    ...GlossatorElement.properties,
    explanation: { type: Number },
    by: { reflect: true },
    top: { type: Number },
    normalise: { reflect: true },
    names: { attribute: false },
    open: { state: true },
    active: { state: true },
  };

  /** Which explanation of each document, counted from 0. */
  declare explanation: number;
  declare by: By;
  declare top: number;
  declare normalise: Normalise;
  /** What to call each document; without it by method, and by model where those differ. */
  declare names: string[] | undefined;
  declare private open: boolean;
  declare private active: TokenDetail | undefined;
  private views: View[] = [];

  static override styles = [
    shared,
    shades,
    css`
      .one { border-top: 1px solid var(--_line); padding: .75rem 0 .25rem; }
      .one:first-of-type { border-top: 0; padding-top: .25rem; }
      h3 { font-size: .95rem; }
      token-heatmap { background: none; }
      td { background: var(--bg); color: var(--fg); }
      table.agree td { text-align: end; font-variant-numeric: tabular-nums; }
      .readout.on { position: sticky; bottom: 0; background: var(--_page); z-index: 2; }
      .readout { min-height: 2.1rem; padding: .3rem 0; font-size: .85rem; color: var(--_quiet); border-top: 1px solid var(--_line); display: flex; flex-wrap: wrap; gap: 0 1.25rem; overflow-wrap: anywhere; }
      .readout b, .readout .value { color: var(--_ink); }
      .legend { margin-bottom: .5rem; }
      thead td { border-top: 0; }
      caption { text-align: start; font-size: .85rem; color: var(--_quiet); padding: .35rem 0; }
    `,
  ];

  constructor() {
    super();
    this.explanation = 0;
    this.by = 'word';
    this.top = 0;
    this.normalise = 'raw';
    this.open = false;
  }

  protected override prepare(): void {
    if (!this.documents.every(isExplained)) throw new WireError('expected explanations');
  }

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed);
    if (!['data', 'explanation', 'by', 'normalise'].some((name) => changed.has(name))) return;
    this.active = undefined;
    const { by, normalise } = this;
    this.views = (this.documents as Document[]).flatMap((document) => {
      const one = document.explanations[this.explanation];
      return one ? [viewOf(document, one, { by, normalise })] : [];
    });
  }

  private get called(): string[] {
    const models = new Set(this.views.map((view) => view.document.model.id));
    return this.views.map((view, i) => {
      const { method, model } = view.document;
      const name = models.size > 1 ? `${method.id}, ${model.id}` : method.id;
      return visible(this.names?.[i] ?? name);
    });
  }

  protected override draw(): TemplateResult {
    const names = this.called;
    if (this.views.length === 0) return html`<p class="quiet">there is nothing to compare</p>`;
    return html`<p class="legend">${meaning(this.views[0]!, this.palette)}; each map by its own strongest</p>
    ${this.views.map((view, i) => {
      const settings = say.method(view.document.method).slice(1);
      const how = [say.measure(view.explanation.target), ...settings];
      return html`<section class="one">
        <h3><bdi>${names[i]}</bdi></h3>
        <p class="quiet">${how.map((item, at) => html`${at > 0 ? ' · ' : ''}<bdi>${item}</bdi>`)}</p>
        <token-heatmap compact bare .data=${view.document} .explanation=${this.explanation} .by=${this.by}
          .top=${this.top} .normalise=${this.normalise} palette=${this.palette}
          @token-focus=${(event: CustomEvent<TokenDetail>) => this.follow(event)}></token-heatmap>
      </section>`;
    })}
    ${this.readout(names)}
    ${this.views.length > 1 ? this.numbers(names) : nothing}`;
  }

  /** The exact numbers of the place in focus, by every method. */
  private readout(names: string[]): TemplateResult {
    const at = this.active;
    if (!at) {
      return html`<p class="readout">point at a ${this.by}, or move with the arrow keys, for its exact numbers</p>`;
    }
    const same = (unit: Unit) =>
      unit.field === at.field && unit.start === at.start && unit.end === at.end;
    return html`<p class="readout on"><span><b><bdi>${label(at.text)}</bdi></b> (${at.start < at.end ? `bytes ${at.start}–${at.end}` : 'covers no text'})</span>
      ${this.views.map((view, i) => {
        const unit = view.fields.flatMap((field) => field.units).find(same);
        const error = unit?.error === undefined ? '' : ` ± ${unit.error.toPrecision(2)}`;
        return html`<span><bdi>${names[i]}</bdi> <span class="value">${unit ? typeset(`${unit.score}${error}`) : 'none'}</span></span>`;
      })}</p>`;
  }

  /** The same place is in focus in all maps. */
  private follow(event: CustomEvent<TokenDetail>): void {
    const { field, start } = event.detail;
    this.active = event.detail;
    for (const map of this.renderRoot.querySelectorAll<TokenHeatmap>('token-heatmap')) {
      if (map !== event.target) map.highlight(field, start);
    }
  }

  private numbers(names: string[]): TemplateResult {
    return html`<details @toggle=${(event: Event) => {
      this.open = (event.target as HTMLDetailsElement).open;
    }}><summary>all numbers side by side, and how far the methods agree</summary>
      ${this.open ? html`${this.agreement(names)}${this.table(names)}` : nothing}</details>`;
  }

  private columns(): Unit[][] {
    const all = this.views.map((view) => view.fields.flatMap((field) => field.units));
    return all.map((units) =>
      all[0]!.map((unit, i) => sameUnit(units, unit, i)).filter((unit) => unit !== undefined),
    );
  }

  private agreement(names: string[]): TemplateResult {
    const columns = this.columns();
    const comparable = columns.every((column) => column.length === columns[0]!.length);
    if (!comparable)
      return html`<p class="note">the texts are split differently: no agreement is computed</p>`;
    const value = (a: number, b: number) => {
      const correlation = spearman(
        columns[a]!.map((u) => u.score),
        columns[b]!.map((u) => u.score),
      );
      return correlation === undefined ? 'none' : typeset(correlation.toFixed(2));
    };
    return html`<div class="scroll" tabindex="0" role="region" aria-label="agreement"><table class="agree">
      <caption>rank correlation of the scores (Spearman), −1 to 1</caption>
      <thead><tr><td></td>${names.map((name) => html`<th scope="col"><bdi>${name}</bdi></th>`)}</tr></thead>
      <tbody>${names.map(
        (name, a) => html`<tr><th scope="row"><bdi>${name}</bdi></th>
        ${names.map((_, b) => html`<td>${value(a, b)}</td>`)}</tr>`,
      )}</tbody>
    </table></div>`;
  }

  private table(names: string[]): TemplateResult {
    const all = this.views.map((view) => view.fields.flatMap((field) => field.units));
    return html`<div class="scroll" tabindex="0" role="region" aria-label="all scores"><table>
      <thead><tr><th scope="col">${this.by}</th>
        ${names.map((name) => html`<th scope="col" class="value"><bdi>${name}</bdi></th>`)}</tr></thead>
      <tbody>${all[0]!.map(
        (unit, i) => html`<tr><th scope="row"><bdi>${label(unit.text)}</bdi></th>
        ${this.views.map((view, v) => {
          const same = sameUnit(all[v]!, unit, i);
          if (!same) return html`<td></td>`;
          return html`<td class=${`value ${view.scale.shade(same.score)}`}>${view.scale.number(same.score)}</td>`;
        })}</tr>`,
      )}</tbody>
    </table></div>`;
  }
}

define('method-comparison', MethodComparison);
