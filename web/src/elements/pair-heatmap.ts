// <pair-heatmap>: two texts side by side on one scale, with what each does as a whole.

import { css, html, type TemplateResult } from 'lit';
import { visible } from '../text/visible';
import type { View } from '../view/units';
import { define } from './base';
import { Heatmap } from './heatmap';

export class PairHeatmap extends Heatmap {
  static override styles = [
    ...Heatmap.styles,
    css`
      .pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(16rem, 100%), 1fr)); gap: .5rem 2rem; margin-bottom: .5rem; }
      .sum { font-weight: 400; }
    `,
  ];

  protected override draw(): TemplateResult {
    const { document, view } = this;
    if (!view) return html`<p class="quiet">this document explains nothing</p>`;
    return html`${this.compact ? '' : this.heading(document!, view.explanation)}
      ${this.warning(view.explanation)}
      <div class="pair">${view.fields.map(
        (field, f) => html`<div>
        <h4><bdi>${visible(field.field.name)}</bdi> <span class="sum value">sum ${sum(view, f)}</span></h4>
        ${this.text(field, view, f)}
      </div>`,
      )}</div>
      ${this.readout(view)}
      ${this.compact ? '' : html`${this.legend(view)}${this.table(view)}`}
      ${this.figures(view)}`;
  }
}

/** What all tokens of a field do together, special ones included. */
function sum(view: View, f: number): string {
  return view.scale.number(view.explanation.scores[f]!.reduce((all, score) => all + score, 0));
}

define('pair-heatmap', PairHeatmap);
