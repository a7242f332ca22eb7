// <generation-grid>: each written token by the tokens before it.

import { css, html, nothing, type TemplateResult } from 'lit';
import { typeset } from '../text/numbers';
import { label, visible } from '../text/visible';
import { type Grid, gridOf, strongestColumns } from '../view/grid';
import { quantity } from '../view/summary';
import { isExplained, WireError } from '../wire/parse';
import type { Document } from '../wire/types';
import { define, GlossatorElement, type TokenDetail } from './base';
import { keyTarget } from './keys';
import { shades, shared } from './style';

export class GenerationGrid extends GlossatorElement {
  static override properties = {
    ...GlossatorElement.properties,
    columns: { type: Number },
    row: { state: true },
    column: { state: true },
  };

  /** Only so many columns, those with the strongest scores; 0 for all. */
  declare columns: number;
  declare private row: number;
  declare private column: number;
  private grid: Grid | undefined;

  static override styles = [
    shared,
    shades,
    css`
      .scroll { max-height: none; }
      table { font-size: .8rem; font-variant-numeric: tabular-nums; }
      th, td { padding: .1rem .35rem; text-align: center; white-space: nowrap; border: 1px solid var(--_line); }
      thead th { position: static; max-width: 8rem; overflow: hidden; text-overflow: ellipsis; }
      th[scope='row'] { position: sticky; inset-inline-start: 0; background: var(--_page); text-align: start; max-width: 10rem; min-width: 0; overflow: hidden; text-overflow: ellipsis; z-index: 1; }
      td { background: var(--bg); color: var(--fg); }
      td:focus-visible { outline-offset: -2px; outline-color: var(--_ink); border-radius: 0; }
      .readout { min-height: 1.7rem; padding: .25rem 0; font-size: .85rem; color: var(--_quiet); }
      .readout .value { color: var(--_ink); }
    `,
  ];

  constructor() {
    super();
    this.columns = 0;
    this.row = 0;
    this.column = 0;
  }

  private get document(): Document {
    return this.documents[0] as Document;
  }

  protected override prepare(): void {
    const one = this.documents[0];
    if (!one) return;
    this.grid = isExplained(one) ? gridOf(one) : undefined;
    if (!this.grid) throw new WireError('expected explanations of several written tokens');
    [this.row, this.column] = [0, 0];
  }

  protected override draw(): TemplateResult {
    const grid = this.grid!;
    const shown = strongestColumns(grid, this.columns > 0 ? this.columns : grid.columns.length);
    const what = quantity(grid.rows[0]!.explanation.target);
    const full = `${grid.scale.signed ? '±' : ''}${grid.scale.bare(grid.scale.max)}`;
    const left = grid.columns.length - shown.length;
    return html`<h3>each written token by the tokens before it</h3>
      <p class="quiet">rows are written tokens; a number says what the column's token did for the
        row's ${what}; full colour: ${full}${left > 0 ? `; ${left} weaker columns are left out` : ''}</p>
      <div class="scroll">
        <table role="grid" aria-label="scores of the tokens before each written token"
          @keydown=${(event: KeyboardEvent) => this.key(event, shown)}>
          <thead>
            ${this.document.input.fields.length > 1 ? this.fields(grid, shown) : nothing}
            <tr>
              <td></td>
              ${shown.map((c) => {
                const column = grid.columns[c]!;
                return html`<th scope="col" class=${column.special ? 'special' : ''}><bdi>${label(column.text)}</bdi></th>`;
              })}
            </tr>
          </thead>
          <tbody>
            ${grid.rows.map(
              (row, r) => html`<tr>
              <th scope="row"><bdi>${label(row.text)}</bdi></th>
              ${shown.map((c, at) => this.cell(grid, r, c, at))}
            </tr>`,
            )}
          </tbody>
        </table>
      </div>
      ${this.readout(grid, shown)}`;
  }

  private cell(grid: Grid, r: number, c: number, at: number): TemplateResult {
    const score = grid.rows[r]!.scores[c];
    const current = r === this.row && at === this.column;
    const text = score === undefined ? '' : grid.scale.short(score);
    const said = score === undefined ? 'not written yet' : nothing;
    return html`<td
      class=${score === undefined ? '' : grid.scale.shade(score)}
      tabindex=${current ? 0 : -1}
      data-r=${r}
      data-c=${at}
      aria-label=${said}
      @focus=${() => this.point(r, at, c)}
      @pointerenter=${() => this.point(r, at, c)}
      @click=${() => this.emit('token-select', this.detail(grid, r, c))}
    >${text}</td>`;
  }

  /** The names of the fields above their tokens. */
  private fields(grid: Grid, shown: number[]): TemplateResult {
    const runs: Array<[number, number]> = [];
    for (const c of shown) {
      const field = grid.columns[c]!.field;
      const last = runs.at(-1);
      if (last?.[0] === field) last[1] += 1;
      else runs.push([field, 1]);
    }
    return html`<tr><td></td>${runs.map(
      ([field, span]) =>
        html`<th scope="colgroup" colspan=${span}><bdi>${visible(this.document.input.fields[field]!.name)}</bdi></th>`,
    )}</tr>`;
  }

  private readout(grid: Grid, shown: number[]): TemplateResult {
    const row = grid.rows[this.row];
    const c = shown[this.column];
    const column = c === undefined ? undefined : grid.columns[c];
    const score = c === undefined ? undefined : row?.scores[c];
    if (!row || !column) return html`<p class="readout"></p>`;
    const what = html`<bdi>${label(column.text)}</bdi> for <bdi>${label(row.text)}</bdi>`;
    if (score === undefined) return html`<p class="readout">${what}: it was not written yet</p>`;
    return html`<p class="readout">${what}: <span class="value">${typeset(String(score))}</span></p>`;
  }

  private detail(grid: Grid, r: number, c: number): TokenDetail & { row: number } {
    const column = grid.columns[c]!;
    const token = this.document.input.fields[column.field]!.tokens[column.token]!;
    return {
      field: column.field,
      tokens: [column.token],
      start: token.start,
      end: token.end,
      text: column.text,
      score: grid.rows[r]!.scores[c] ?? null,
      error: null,
      row: r,
    };
  }

  private point(r: number, at: number, c: number): void {
    if (this.row === r && this.column === at) return;
    [this.row, this.column] = [r, at];
    this.emit('token-focus', this.detail(this.grid!, r, c));
  }

  private key(event: KeyboardEvent, shown: number[]): void {
    const vertical = event.key === 'ArrowDown' || event.key === 'ArrowUp';
    let [r, at] = [this.row, this.column];
    if (vertical) r = keyTarget(event, r, this.grid!.rows.length) ?? r;
    else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      this.emit('token-select', this.detail(this.grid!, r, shown[at]!));
      return;
    } else {
      const to = keyTarget(event, at, shown.length);
      if (to === undefined) return;
      at = to;
    }
    event.preventDefault();
    this.renderRoot.querySelector<HTMLElement>(`td[data-r="${r}"][data-c="${at}"]`)?.focus();
  }
}

define('generation-grid', GenerationGrid);
