// What both views of attention share: which head is shown, how it is chosen, the table.

import { css, html, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { percent } from '../text/numbers';
import {
  type Choice,
  type Place,
  places,
  strongestKeys,
  type Weights,
  weightsOf,
} from '../view/attention';
import type { AttentionDocument } from '../wire/http';
import { isAttention, WireError } from '../wire/parse';
import { GlossatorElement, type TokenDetail } from './base';
import { shades, shared } from './style';

/** So many keys of each query stand in the table. */
const KEYS = 5;

export abstract class AttentionView extends GlossatorElement {
  static override properties = {
    ...GlossatorElement.properties,
    layer: { type: Number },
    head: {
      converter: {
        fromAttribute: (text: string | null) =>
          text === 'mean' || text === null ? 'mean' : Number(text),
      },
    },
    rollout: { type: Boolean },
    fixed: { type: Boolean },
    query: { state: true },
    key: { state: true },
    open: { state: true },
  };

  /** The layer, counted from 0. */
  declare layer: number;
  /** The head, counted from 0, or `mean`. */
  declare head: number | 'mean';
  /** Through all layers (Abnar & Zuidema 2020) instead of one. */
  declare rollout: boolean;
  /** Without the controls that choose a head. */
  declare fixed: boolean;
  declare protected query: number;
  declare protected key: number;
  declare protected open: boolean;
  protected weights: Weights = { queries: [], keys: [], rows: [], max: 0 };
  private all: Place[] = [];

  static override styles = [
    shared,
    shades,
    css`
      .controls { display: flex; flex-wrap: wrap; gap: .35rem 1rem; align-items: center; font-size: .85rem; margin-bottom: .5rem; }
      label { display: inline-flex; gap: .35rem; align-items: center; color: var(--_quiet); }
      select { font: inherit; color: var(--_ink); background: var(--_page); border: 1px solid var(--_line); border-radius: .3rem; padding: .1rem .3rem; }
      .readout { min-height: 1.7rem; padding: .25rem 0; font-size: .85rem; color: var(--_quiet); overflow-wrap: anywhere; }
      .readout bdi { color: var(--_ink); font-weight: 600; }
      svg text { fill: var(--_ink); font: .8rem system-ui, sans-serif; }
      svg text.special { fill: var(--_quiet); }
    `,
  ];

  constructor() {
    super();
    this.layer = 0;
    this.head = 'mean';
    this.rollout = false;
    this.fixed = false;
    this.query = 0;
    this.key = 0;
    this.open = false;
  }

  protected get document(): AttentionDocument {
    return this.documents[0] as AttentionDocument;
  }

  protected override prepare(): void {
    const one = this.documents[0];
    if (!one) return;
    if (!isAttention(one)) throw new WireError('expected attention');
    this.all = places(one);
    this.query = 0;
  }

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed);
    const one = this.documents[0];
    if (!one || !['data', 'layer', 'head', 'rollout'].some((name) => changed.has(name))) return;
    const { layer, head, rollout } = this;
    this.weights = weightsOf(this.document, { layer, head, rollout }, this.all);
    this.query = Math.min(this.query, Math.max(this.weights.queries.length - 1, 0));
  }

  /** The controls that choose a head; they emit `head-select`. */
  protected controls(): TemplateResult | typeof nothing {
    if (this.fixed) return nothing;
    const { layers, heads, rollout } = this.document;
    const options = (n: number, chosen: number | string) =>
      Array.from(
        { length: n },
        (_, i) => html`<option value=${i} .selected=${i === chosen}>${i + 1}</option>`,
      );
    return html`<div class="controls">
      <label>layer <select ?disabled=${this.rollout} @change=${(event: Event) => {
        this.choose({ layer: Number((event.target as HTMLSelectElement).value) });
      }}>${options(layers, this.layer)}</select></label>
      <label>head <select ?disabled=${this.rollout} @change=${(event: Event) => {
        const value = (event.target as HTMLSelectElement).value;
        this.choose({ head: value === 'mean' ? 'mean' : Number(value) });
      }}><option value="mean" .selected=${this.head === 'mean'}>mean</option>${options(heads, this.head)}</select></label>
      ${
        rollout
          ? html`<label><input type="checkbox" .checked=${this.rollout} @change=${(
              event: Event,
            ) => {
              this.choose({ rollout: (event.target as HTMLInputElement).checked });
            }}>rollout through all layers</label>`
          : nothing
      }
    </div>`;
  }

  private choose(choice: Partial<Choice>): void {
    Object.assign(this, choice);
    const { layer, head, rollout } = this;
    this.emit('head-select', { layer, head, rollout });
  }

  protected what(): string {
    if (this.rollout) return 'attention rollout through all layers';
    const head = this.head === 'mean' ? 'mean of the heads' : `head ${this.head + 1}`;
    return `attention of layer ${this.layer + 1}, ${head}`;
  }

  /** Each query's strongest keys, for readers who do not see the picture. */
  protected table(): TemplateResult {
    const { queries, keys, rows } = this.weights;
    const body =
      () => html`<div class="scroll" tabindex="0" role="region" aria-label="strongest keys">
      <table>
        <thead><tr><th scope="col">token</th><th scope="col">looks at most</th></tr></thead>
        <tbody>${queries.map((query, q) => {
          const best = strongestKeys(rows[q] ?? [], KEYS);
          return html`<tr><th scope="row"><bdi>${query.text}</bdi></th>
            <td>${best.map((k, i) => html`${i > 0 ? ', ' : ''}<bdi>${keys[k]!.text}</bdi> ${percent(rows[q]![k]!)}`)}</td></tr>`;
        })}</tbody>
      </table></div>`;
    return html`<details @toggle=${(event: Event) => {
      this.open = (event.target as HTMLDetailsElement).open;
    }}><summary>${queries.length} tokens with the ${KEYS} they look at most</summary>${this.open ? body() : nothing}</details>`;
  }

  protected detail(): TokenDetail {
    const key = this.weights.keys[this.key]!;
    const { field, token, start, end, text } = key;
    const score = this.weights.rows[this.query]?.[this.key] ?? null;
    return { field, tokens: [token], start, end, text, score, error: null };
  }
}
