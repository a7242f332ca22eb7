// <token-heatmap>: a text, each word or token on the shade of its score.

import { html, nothing, type TemplateResult } from 'lit';
import { visible, visibleLines } from '../text/visible';
import * as say from '../view/summary';
import { define } from './base';
import { Heatmap } from './heatmap';

export class TokenHeatmap extends Heatmap {
  protected override draw(): TemplateResult {
    const { document, view } = this;
    if (!view) return this.unexplained();
    const several = view.fields.length > 1;
    const reading = html`<div>
      ${view.fields.map(
        (
          field,
          f,
        ) => html`${several ? html`<h4><bdi>${visible(field.field.name)}</bdi></h4>` : nothing}
          ${this.text(field, view, f)}`,
      )}
      ${this.readout(view)}
    </div>`;
    if (this.compact) return html`${this.warning(view.explanation)}${reading}${this.figures(view)}`;
    const list = this.strongest(view);
    return html`${this.heading(document!, view.explanation)}
      ${this.warning(view.explanation)}
      <div class=${list === nothing ? 'columns' : 'columns two'}>${reading}${list}</div>
      ${this.legend(view)}${this.table(view)}${this.figures(view)}`;
  }

  /** A document that explains nothing. */
  private unexplained(): TemplateResult {
    const document = this.document!;
    const several = document.input.fields.length > 1;
    const why = say.unexplained(document);
    return html`${document.input.fields.map(
      (field) => html`${several ? html`<h4><bdi>${visible(field.name)}</bdi></h4>` : nothing}
        <p class="text" dir="auto">${visibleLines(field.text)}</p>`,
    )}
    ${why ? html`<p class="quiet">${why}</p>` : nothing}
    ${say.notes(document).map((note) => html`<p class="note">${note}</p>`)}`;
  }
}

define('token-heatmap', TokenHeatmap);
