// <attention-arcs>: lines from each token to the tokens that it looks at.

import { css, html, nothing, svg, type TemplateResult } from 'lit';
import { STEPS, step } from '../palette';
import { percent } from '../text/numbers';
import { cut } from '../text/visible';
import { strongestKeys } from '../view/attention';
import { AttentionView } from './attention';
import { define } from './base';
import { keyTarget } from './keys';

const ROW = 22;
const NAMES = 110;
const MIDDLE = 200;
/** Lines of one token at most. */
const LINES = 12;

export class AttentionArcs extends AttentionView {
  static override properties = { ...AttentionView.properties, picked: { state: true } };
  declare private picked: boolean;

  static override styles = [
    ...AttentionView.styles,
    css`
      .frame { overflow: auto; max-width: 100%; max-height: 40rem; width: fit-content; }
      svg { display: block; }
      path { fill: none; stroke: var(--bg); }
      .dim path { opacity: .12; }
      .dim path.on { opacity: 1; }
      rect { fill: transparent; }
      rect.now { fill: color-mix(in srgb, var(--_focus) 18%, transparent); }
    `,
  ];

  constructor() {
    super();
    this.picked = false;
  }

  protected override draw(): TemplateResult {
    const { queries, keys, rows, max } = this.weights;
    const height = Math.max(queries.length, keys.length) * ROW + 4;
    const width = 2 * NAMES + MIDDLE;
    const y = (i: number) => i * ROW + ROW / 2 + 2;
    const [from, to] = [NAMES + 4, NAMES + MIDDLE - 4];
    const lines = rows.flatMap((row, q) =>
      strongestKeys(row, LINES)
        .map((k) => ({ q, k, at: max > 0 ? step(row[k]! / max) : 0 }))
        .filter((line) => line.at > 0),
    );
    // The strong ones lie on top.
    lines.sort((a, b) => a.at - b.at);
    const curve = (q: number, k: number) =>
      `M${from} ${y(q)}C${from + MIDDLE / 2} ${y(q)} ${to - MIDDLE / 2} ${y(k)} ${to} ${y(k)}`;
    return html`${this.controls()}
      <div class="frame" tabindex="0" role="application" aria-roledescription="arcs" aria-label=${this.what()}
        aria-describedby="readout" @keydown=${this.move} @pointerleave=${() => {
          this.picked = false;
        }}>
        <svg width=${width} height=${height} viewBox="0 0 ${width} ${height}" aria-hidden="true" class=${this.picked ? 'dim' : ''}>
          ${lines.map(({ q, k, at }) => svg`<path class=${`s${at}${q === this.query ? ' on' : ''}`} stroke-width=${0.6 + (2.6 * at) / STEPS} d=${curve(q, k)}></path>`)}
          ${queries.map(
            (
              query,
              q,
            ) => svg`<rect class=${this.picked && q === this.query ? 'now' : ''} x="0" y=${y(q) - ROW / 2} width=${NAMES} height=${ROW} @pointerenter=${() => this.go(q)} @click=${() => this.go(q)}></rect>
            <text pointer-events="none" class=${query.special ? 'special' : ''} x=${NAMES - 4} y=${y(q)} text-anchor="end" dominant-baseline="central">${cut(query.text, 13)}</text>`,
          )}
          ${keys.map((key, k) => svg`<text class=${key.special ? 'special' : ''} x=${NAMES + MIDDLE + 4} y=${y(k)} dominant-baseline="central">${cut(key.text, 13)}</text>`)}
        </svg>
      </div>
      ${this.readout()}
      <p class="legend">left looks at right; the deeper and thicker, the more (at most ${LINES} lines a token)</p>
      ${this.table()}`;
  }

  private readout(): TemplateResult {
    const { queries, keys, rows } = this.weights;
    const query = queries[this.query];
    if (!query || !this.picked) {
      return html`<p class="readout" id="readout">point at a token on the left, or move with the arrow keys</p>`;
    }
    const row = rows[this.query] ?? [];
    const best = strongestKeys(row, 5);
    return html`<p class="readout" id="readout" aria-live="polite"><bdi>${query.text}</bdi> looks at
      ${best.map((k, i) => html`${i > 0 ? ', ' : ''}<bdi>${keys[k]!.text}</bdi> ${percent(row[k]!)}`)}${best.length === 0 ? 'nothing' : nothing}</p>`;
  }

  private move = (event: KeyboardEvent): void => {
    const next = keyTarget(event, this.picked ? this.query : -1, this.weights.queries.length);
    if (next === undefined) return;
    event.preventDefault();
    this.go(next);
  };

  private go(query: number): void {
    if (this.picked && this.query === query) return;
    this.picked = true;
    this.query = query;
    const place = this.weights.queries[query];
    if (!place) return;
    const { field, token, start, end, text } = place;
    this.emit('token-focus', {
      field,
      tokens: [token],
      start,
      end,
      text,
      score: null,
      error: null,
    });
  }
}

define('attention-arcs', AttentionArcs);
