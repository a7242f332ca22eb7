// <attention-matrix>: the weights of a head as a square of shades, queries down, keys across.

import { css, html, nothing, svg, type TemplateResult } from 'lit';
import { STEPS, step } from '../palette';
import { cut } from '../text/visible';
import { AttentionView } from './attention';
import { define } from './base';
import { keyTarget } from './keys';

/** Room for the tokens' names, in pixels. */
const NAMES = 84;
/** Up to so many tokens, each has its name. */
const NAMED = 80;

export class AttentionMatrix extends AttentionView {
  static override properties = {
    ...AttentionView.properties,
    thumbnail: { type: Boolean, reflect: true },
  };
  /** Only the square, without names, controls and table. */
  declare thumbnail: boolean;

  static override styles = [
    ...AttentionView.styles,
    css`
      .frame { overflow: auto; max-width: 100%; width: fit-content; }
      svg { display: block; }
      path { fill: var(--bg); }
      .cursor { fill: none; stroke: var(--_ink); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
      .edge { fill: none; stroke: var(--_line); vector-effect: non-scaling-stroke; }
      :host([thumbnail]) { background: none; }
      :host([thumbnail]) svg { width: 100%; height: auto; }
    `,
  ];

  constructor() {
    super();
    this.thumbnail = false;
  }

  protected override draw(): TemplateResult {
    const { queries, keys, rows, max } = this.weights;
    const [across, down] = [keys.length, queries.length];
    if (this.thumbnail) {
      return html`<svg viewBox="0 0 ${across} ${down}" aria-hidden="true" preserveAspectRatio="none">
        <rect class="edge" width=${across} height=${down}></rect>${shadePaths(rows, max, 1)}</svg>`;
    }
    const named = Math.max(across, down) <= NAMED;
    const cell = Math.max(Math.min(Math.floor(560 / Math.max(across, 1)), 26), named ? 11 : 3);
    const room = named ? NAMES : 8;
    const [width, height] = [room + across * cell + 2, room + down * cell + 2];
    return html`${this.controls()}
      <div class="frame" tabindex="0" role="application" aria-roledescription="matrix" aria-label=${this.what()}
        aria-describedby="readout"
        @keydown=${this.move} @pointermove=${(event: PointerEvent) => this.track(event, room, cell)}
        @click=${() => this.emit('token-select', this.detail())}>
        <svg width=${width} height=${height} viewBox="0 0 ${width} ${height}" aria-hidden="true">
          ${named ? queries.map((query, q) => svg`<text class=${query.special ? 'special' : ''} x=${room - 6} y=${room + (q + 0.5) * cell} text-anchor="end" dominant-baseline="central" font-size=${Math.min(cell, 13)}>${cut(query.text, 11)}</text>`) : nothing}
          ${named ? keys.map((key, k) => svg`<text class=${key.special ? 'special' : ''} transform="translate(${room + (k + 0.5) * cell} ${room - 6}) rotate(-90)" dominant-baseline="central" font-size=${Math.min(cell, 13)}>${cut(key.text, 11)}</text>`) : nothing}
          <g transform="translate(${room} ${room})">
            ${shadePaths(rows, max, cell)}
            <rect class="edge" width=${across * cell} height=${down * cell}></rect>
            <rect class="cursor" x=${this.key * cell} y=${this.query * cell} width=${cell} height=${cell}></rect>
          </g>
        </svg>
      </div>
      ${this.readout()}
      <p class="legend">rows look at columns; the deeper, the more: <span class="swatch s10">full colour</span> is ${max.toFixed(3)}</p>
      ${this.table()}`;
  }

  private readout(): TemplateResult {
    const { queries, keys, rows } = this.weights;
    const [query, key] = [queries[this.query], keys[this.key]];
    const weight = rows[this.query]?.[this.key];
    if (!query || !key) return html`<p class="readout" id="readout"></p>`;
    return html`<p class="readout" id="readout" aria-live="polite"><bdi>${query.text}</bdi> looks at <bdi>${key.text}</bdi>:
      ${weight}</p>`;
  }

  private move = (event: KeyboardEvent): void => {
    const { queries, keys } = this.weights;
    const vertical = event.key === 'ArrowUp' || event.key === 'ArrowDown';
    if (event.key === 'Enter') this.emit('token-select', this.detail());
    const next = vertical
      ? keyTarget(event, this.query, queries.length)
      : keyTarget(event, this.key, keys.length);
    if (next === undefined) return;
    event.preventDefault();
    if (vertical) this.go(next, this.key);
    else this.go(this.query, next);
  };

  private track(event: PointerEvent, room: number, cell: number): void {
    const box = this.renderRoot.querySelector('svg')!.getBoundingClientRect();
    const k = Math.floor((event.clientX - box.left - room) / cell);
    const q = Math.floor((event.clientY - box.top - room) / cell);
    const { queries, keys } = this.weights;
    if (k >= 0 && q >= 0 && k < keys.length && q < queries.length) this.go(q, k);
  }

  private go(query: number, key: number): void {
    if (query === this.query && key === this.key) return;
    [this.query, this.key] = [query, key];
    this.emit('token-focus', this.detail());
  }
}

/** One path for each shade: ten shapes draw any number of cells. */
function shadePaths(rows: number[][], max: number, cell: number) {
  const paths: string[][] = Array.from({ length: STEPS + 1 }, () => []);
  rows.forEach((row, q) => {
    row.forEach((weight, k) => {
      const at = max > 0 ? step(weight / max) : 0;
      if (at > 0) paths[at]!.push(`M${k * cell} ${q * cell}h${cell}v${cell}h${-cell}z`);
    });
  });
  return paths.map((path, i) =>
    path.length > 0 ? svg`<path class=${`s${i}`} d=${path.join('')}></path>` : nothing,
  );
}

define('attention-matrix', AttentionMatrix);
