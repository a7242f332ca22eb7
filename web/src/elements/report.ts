// <glossator-report>: documents of any kind, each as an article.

import { css, html, nothing, type TemplateResult } from 'lit';
import { percent } from '../text/numbers';
import { quote, visible } from '../text/visible';
import { gridOf } from '../view/grid';
import type { Normalise } from '../view/scale';
import * as say from '../view/summary';
import type { By } from '../view/units';
import { reduces, summaryLines } from '../view/verdict';
import {
  type AnyDocument,
  isAttack,
  isAttention,
  isExplained,
  isSummary,
  isTrigger,
} from '../wire/parse';
import type { Document, Mean, TriggerDocument } from '../wire/types';
import { define, GlossatorElement } from './base';
import { shared } from './style';
import './attention-arcs';
import './attention-matrix';
import './edit-list';
import './generation-grid';
import './pair-heatmap';
import './prediction-bars';
import './reduction-view';
import './token-heatmap';

export class GlossatorReport extends GlossatorElement {
  static override properties = {
    ...GlossatorElement.properties,
    by: { reflect: true },
    top: { type: Number },
    normalise: { reflect: true },
  };

  declare by: By;
  declare top: number;
  declare normalise: Normalise;

  static override styles = [
    shared,
    css`
      article { border-top: 1px solid var(--_line); padding: 1.5rem 0; content-visibility: auto; contain-intrinsic-size: auto 30rem; }
      article:first-of-type { border-top: 0; padding-top: 0; }
      article > * { background: none; }
      section { margin-top: 1.25rem; }
      dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .1rem 1rem; margin: .5rem 0; }
      dt { color: var(--_quiet); }
      dd { margin: 0; overflow-wrap: anywhere; }
      .model { margin-top: .35rem; }
    `,
  ];

  constructor() {
    super();
    this.by = 'word';
    this.top = 0;
    this.normalise = 'raw';
  }

  protected override draw(): TemplateResult {
    return html`${this.documents.map((one) => html`<article>${this.article(one)}</article>`)}`;
  }

  private article(one: AnyDocument): TemplateResult {
    if (isSummary(one)) return html`<h2>summary</h2>${definitions(summaryLines(one))}`;
    if (isTrigger(one)) {
      const how = [...say.method(one.attack), visible(one.model.id)].join(' · ');
      return html`<h2><bdi>${quote(one.trigger.text)}</bdi></h2><p class="quiet">${how}</p>${definitions(triggerLines(one))}`;
    }
    if (isAttention(one)) {
      return html`<attention-matrix .data=${one} palette=${this.palette}></attention-matrix>`;
    }
    const bars = html`<prediction-bars .data=${one}></prediction-bars>`;
    if (isAttack(one)) {
      const body = reduces(one)
        ? html`<reduction-view .data=${one} palette=${this.palette}></reduction-view>`
        : html`<edit-list .data=${one} palette=${this.palette}></edit-list>`;
      return html`${bars}<section>${body}</section>`;
    }
    const { id, family } = one.model;
    const model = html`<p class="quiet model"><bdi>${visible(id)}</bdi> (${visible(family)})</p>`;
    return html`${bars}${model}${isExplained(one) ? this.explanations(one) : nothing}`;
  }

  private explanations(one: Document): TemplateResult {
    if (one.explanations.length === 0) {
      return html`<section><token-heatmap .data=${one}></token-heatmap></section>`;
    }
    const { by, top, normalise, palette } = this;
    const pair = one.input.fields.length === 2;
    return html`${gridOf(one) ? html`<section><generation-grid .data=${one} palette=${palette}></generation-grid></section>` : nothing}
      ${one.explanations.map(
        (_, e) =>
          html`<section>${
            pair
              ? html`<pair-heatmap .data=${one} .explanation=${e} .by=${by} .top=${top} .normalise=${normalise} palette=${palette}></pair-heatmap>`
              : html`<token-heatmap .data=${one} .explanation=${e} .by=${by} .top=${top} .normalise=${normalise} palette=${palette}></token-heatmap>`
          }</section>`,
      )}`;
  }
}

function definitions(lines: Array<[string, string]>): TemplateResult {
  return html`<dl>${lines.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

/** The lines of a trigger. */
function triggerLines({ trigger }: TriggerDocument): Array<[string, string]> {
  const share = (mean: Mean, of: number) =>
    `${percent(mean.mean)} of ${of} (95% interval ${percent(mean.interval[0]!)} to ${percent(mean.interval[1]!)})`;
  const lines: Array<[string, string]> = [
    ['turns, of those it was made for', share(trigger.seen, trigger.searched_on)],
  ];
  if (trigger.held_out)
    lines.push(['turns, of others', share(trigger.held_out, trigger.tested_on)]);
  if (trigger.skipped > 0) lines.push(['no use', String(trigger.skipped)]);
  lines.push(['forward passes', String(trigger.forward_passes)]);
  lines.push(['gradients', String(trigger.gradient_evaluations)]);
  return lines;
}

define('glossator-report', GlossatorReport);
