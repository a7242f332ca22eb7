// Where the model reads: every head at a glance, one in detail, and the rollout.

import { html, nothing, type TemplateResult } from 'lit';
import '../../elements/attention-arcs';
import '../../elements/attention-matrix';
import type { Choice } from '../../view/attention';
import type { AttentionDocument } from '../../wire/http';
import { Panel, progressBox } from './panel';

/** Up to so many heads, all are shown at a glance. */
const GLANCE = 144;

export class AttentionPanel extends Panel {
  protected override render(): TemplateResult | typeof nothing {
    const { session } = this;
    const { model, attention } = session;
    if (!model) return nothing;
    if (!model.attention) return html`<p>this model has no attention that could be shown</p>`;
    const document = attention.value;
    return html`${progressBox(attention, 'attention')}${document ? this.picture(document) : nothing}`;
  }

  private picture(document: AttentionDocument): TemplateResult {
    const { session } = this;
    const { view } = session;
    const layer = Math.min(view.layer, document.layers - 1);
    const head = view.head === 'mean' ? view.head : Math.min(view.head, document.heads - 1);
    const choose = (event: CustomEvent<Choice>) => session.set(event.detail);
    const shape = (id: 'matrix' | 'arcs') =>
      html`<label><input type="radio" name="shape" value=${id} .checked=${view.shape === id} @change=${() => session.set({ shape: id })}>${id}</label>`;
    return html`<div class="row"><span class="switch" role="radiogroup" aria-label="shape">${shape('matrix')}${shape('arcs')}</span></div>
      ${
        view.shape === 'arcs'
          ? html`<attention-arcs .data=${document} .layer=${layer} .head=${head} .rollout=${view.rollout} palette=${view.palette} @head-select=${choose}></attention-arcs>`
          : html`<attention-matrix .data=${document} .layer=${layer} .head=${head} .rollout=${view.rollout} palette=${view.palette} @head-select=${choose}></attention-matrix>`
      }
      ${document.layers * document.heads <= GLANCE ? this.glance(document, layer, head) : nothing}
      <p class="note">Attention tells where a head reads, not what the answer depends on: compare it with the maps under “Why”.</p>`;
  }

  /** Every head as a small square: rows are layers. */
  private glance(
    document: AttentionDocument,
    layer: number,
    head: number | 'mean',
  ): TemplateResult {
    const { session } = this;
    const { palette, rollout } = session.view;
    const layers = Array.from({ length: document.layers }, (_, l) => l);
    const heads = Array.from({ length: document.heads }, (_, h) => h);
    return html`<h3>Every head</h3>
      <p class="note">rows are layers, columns are heads</p>
      <div class="glance">${layers.map(
        (l) =>
          html`<div class="layer">${heads.map(
            (h) => html`<button type="button"
        aria-label=${`layer ${l + 1}, head ${h + 1}`} aria-pressed=${!rollout && l === layer && h === head ? 'true' : 'false'}
        @click=${() => session.set({ layer: l, head: h, rollout: false })}>
        <attention-matrix thumbnail .data=${document} .layer=${l} .head=${h} palette=${palette}></attention-matrix></button>`,
          )}</div>`,
      )}</div>`;
  }
}

customElements.define('attention-panel', AttentionPanel);
