// <prediction-bars>: what a model said, each answer with its probability.

import { css, html, nothing, type TemplateResult } from 'lit';
import { type Group, groups, holding, otherwise } from '../view/prediction';
import { type AnyDocument, isAttack, WireError } from '../wire/parse';
import type { Input, Prediction } from '../wire/types';
import { define, GlossatorElement } from './base';
import { shared } from './style';

/** Up to so many decisions, the candidates of each are in sight. */
const FOLD = 8;

export class PredictionBars extends GlossatorElement {
  static override properties = {
    ...GlossatorElement.properties,
    selectable: { type: Boolean },
    plain: { type: Boolean },
    fold: { type: Number },
  };

  /** Whether labels can be chosen: `label-select` says which. */
  declare selectable: boolean;
  /** Without the headline. */
  declare plain: boolean;
  /** The candidates of more decisions than this are folded away. */
  declare fold: number;

  static override styles = [
    shared,
    css`
      h2 .value { font-weight: 400; }
      h2.many { font-size: 1.1rem; line-height: 1.4; }
      .answers { display: grid; grid-template-columns: minmax(4rem, max-content) minmax(3rem, 12rem) max-content; gap: .15rem .75rem; align-items: center; font-size: .9rem; margin-top: .35rem; }
      li { display: contents; }
      .title, .more { grid-column: 1 / -1; color: var(--_quiet); }
      .label { overflow-wrap: anywhere; min-width: 0; }
      .holds { font-weight: 600; }
      .track { height: .5rem; border-radius: .25rem; background: var(--_line); overflow: hidden; }
      .track span { display: block; height: 100%; width: calc(var(--v) * 100%); background: var(--_fill); }
      .holds + .track span { background: var(--_ink); }
      button.label { background: none; border: 0; padding: 0; text-align: start; cursor: pointer; text-decoration: underline dotted; text-underline-offset: .2em; }
    `,
  ];

  constructor() {
    super();
    this.selectable = false;
    this.plain = false;
    this.fold = FOLD;
  }

  protected override prepare(): void {
    const one = this.documents[0];
    if (one && !said(one)) throw new WireError('expected a document with a prediction');
  }

  protected override draw(): TemplateResult {
    const { input, prediction } = said(this.documents[0]!)!;
    const all = groups(prediction).filter(
      (group) => group.title !== undefined || group.answers.length > 1 || this.plain,
    );
    const lists = all.map((group) => this.list(group));
    const folded = html`<details>
      <summary>${all.length} tokens with their candidates</summary>
      ${lists}
    </details>`;
    return html`${this.plain ? nothing : html`<h2 class=${holding(prediction).answers.length > 1 ? 'many' : ''}>${headline(input, prediction)}</h2>`}
      ${all.length > this.fold ? folded : lists}`;
  }

  private list(group: Group): TemplateResult {
    return html`<ul class="answers">
      ${group.title ? html`<li><span class="title">${group.title}</span></li>` : nothing}
      ${group.answers.map((answer) => {
        const share = Math.min(Math.max(answer.probability ?? 0, 0), 1).toFixed(3);
        const holds = answer.holds ? 'label holds' : 'label';
        const name = html`<bdi>${answer.label}</bdi>`;
        return html`<li>
          ${
            this.selectable
              ? html`<button class=${holds} @click=${() => this.emit('label-select', { label: answer.label })}>${name}</button>`
              : html`<span class=${holds}>${name}</span>`
          }
          ${answer.probability === undefined ? html`<span></span>` : html`<span class="track"><span .style=${`--v:${share}`}></span></span>`}
          <span class="value">${answer.value}</span>
        </li>`;
      })}
      ${group.hidden > 0 ? html`<li><span class="more">${group.hidden} more</span></li>` : nothing}
    </ul>`;
  }
}

function said(one: AnyDocument): { input: Input; prediction: Prediction } | undefined {
  if (isAttack(one)) return { input: one.input, prediction: one.original };
  return 'prediction' in one ? one : undefined;
}

/** What holds, each name apart from its neighbours' direction of writing. */
export function headline(input: Input, prediction: Prediction): TemplateResult {
  const { answers, left } = holding(prediction);
  if (answers.length === 0) return html`<bdi>${otherwise(prediction, input)}</bdi>`;
  const all = answers.map(
    (answer, i) =>
      html`${i > 0 ? ', ' : ''}<bdi>${answer.label}</bdi> <span class="value">${answer.value}</span>`,
  );
  return html`${all}${left > 0 ? `, ${left} more` : ''}`;
}

define('prediction-bars', PredictionBars);
