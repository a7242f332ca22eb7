// What heat maps over text share: the text with its shades, one place in focus, the numbers.
//
// A text is a list box of its units: one stop of the tab key, arrows to move, and a screen reader
// says each with its score. The exact numbers of the place in focus stand in a line below.

import { css, html, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { guard } from 'lit/directives/guard.js';
import { typeset } from '../text/numbers';
import { label, visible, visibleLines } from '../text/visible';
import type { Normalise } from '../view/scale';
import * as say from '../view/summary';
import {
  type By,
  type FieldUnits,
  pieces,
  strongestFirst,
  type Unit,
  unitCount,
  type View,
  viewOf,
} from '../view/units';
import { isExplained, WireError } from '../wire/parse';
import type { Document, Explanation } from '../wire/types';
import { GlossatorElement, type TokenDetail } from './base';
import { keyTarget } from './keys';
import { legend } from './legend';
import { shades, shared } from './style';

/** Up to so many units, nearly every number stands under its word; then only the strong ones do. */
const FEW = 60;
/** So many of the strongest are listed beside the text. */
const STRONGEST = 10;

export abstract class Heatmap extends GlossatorElement {
  static override properties = {
    ...GlossatorElement.properties,
    explanation: { type: Number },
    by: { reflect: true },
    top: { type: Number },
    normalise: { reflect: true },
    max: { type: Number },
    compact: { type: Boolean, reflect: true },
    bare: { type: Boolean },
    selected: { state: true },
    active: { state: true },
    open: { state: true },
  };

  /** Which of the document's explanations, counted from 0. */
  declare explanation: number;
  /** What gets a score: `word` or `token`. */
  declare by: By;
  /** Only so many of the strongest are coloured; 0 for all. */
  declare top: number;
  /** What the numbers are: `raw`, `share` of all, or part of the `strongest`. */
  declare normalise: Normalise;
  /** The score of the full colour, to compare pictures; without it the strongest. */
  declare max: number | undefined;
  /** Only the text and its figures, without heading, list and table. */
  declare compact: boolean;
  /** Without the line of exact numbers, for a page that shows them elsewhere. */
  declare bare: boolean;

  declare protected active: Unit | undefined;
  declare protected selected: Unit | undefined;
  declare protected open: boolean;
  protected view: View | undefined;
  private ranks = new Map<Unit, number>();

  static override styles = [
    shared,
    shades,
    css`
      .columns { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1rem 2.5rem; margin: .25rem 0 .75rem; }
      :host { container-type: inline-size; }
      @container (min-width: 52rem) { .columns.two { grid-template-columns: minmax(0, 1fr) 19rem; } }
      .w { position: relative; border-radius: .2em; padding-block: .1em; background: var(--bg); color: var(--fg); -webkit-box-decoration-break: clone; box-decoration-break: clone; cursor: default; }
      .w.special { font-size: .75em; text-decoration: none; }
      .w.none { margin-inline: .3em; }
      .w[data-v]::after { content: attr(data-v) / ''; position: absolute; top: 100%; left: 50%; translate: -50% .22em; font: .62rem/1 system-ui, sans-serif; font-variant-numeric: tabular-nums; color: var(--_quiet); white-space: nowrap; direction: ltr; }
      .w.active { outline: 2px solid var(--_ink); outline-offset: 1px; z-index: 1; }
      .w.selected { box-shadow: 0 0 0 2px var(--_page), 0 0 0 4px var(--_focus); z-index: 1; }
      .text { border-radius: .25rem; }
      .about { border: .12rem solid var(--_ink); border-radius: .3em; padding: .15em .15em .7em; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
      .legend .about { border-width: 1px; padding: 0 .3em; }
      .strongest { font-size: .9rem; max-width: 26rem; }
      .strongest li { display: grid; grid-template-columns: minmax(0, 1fr) auto 6.5rem; gap: .6rem; align-items: center; padding: .1rem 0; }
      .strongest bdi { text-align: left; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
      .bar { display: block; height: .8rem; position: relative; }
      .bar span { position: absolute; inset-block: 0; left: 0; width: calc(var(--v) * 100%); border-radius: .1rem; background: var(--bg); }
      .bar.signed { background: linear-gradient(var(--_fill), var(--_fill)) center / 1px 100% no-repeat; }
      .bar.signed span { left: 50%; width: calc(var(--v) * 50%); }
      .bar.signed span.n10 { left: auto; right: 50%; }
      .readout.on { position: sticky; bottom: 0; background: var(--_page); z-index: 2; }
      .readout { min-height: 1.7rem; padding: .1rem 0; font-size: .85rem; color: var(--_quiet); overflow-wrap: anywhere; }
      .readout bdi { color: var(--_ink); font-weight: 600; }
      .readout .value { color: var(--_ink); }
    `,
  ];

  constructor() {
    super();
    this.explanation = 0;
    this.by = 'word';
    this.top = 0;
    this.normalise = 'raw';
    this.compact = false;
    this.bare = false;
    this.open = false;
  }

  /** The document that is drawn. */
  get document(): Document | undefined {
    const one = this.documents[0];
    return one && isExplained(one) ? one : undefined;
  }

  /** The places with their numbers, the strongest first. */
  get units(): Unit[] {
    return this.view ? strongestFirst(this.view) : [];
  }

  protected override prepare(): void {
    const one = this.documents[0];
    if (one && !isExplained(one)) throw new WireError('expected an explanation');
  }

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed);
    const names = ['data', 'explanation', 'by', 'normalise', 'max'];
    if (!names.some((name) => changed.has(name))) return;
    if (changed.has('data') || changed.has('explanation') || changed.has('by')) {
      this.active = undefined;
      this.selected = undefined;
    }
    const document = this.document;
    const one = document?.explanations[this.explanation];
    const { by, normalise, max } = this;
    this.view = document && one ? viewOf(document, one, { by, normalise, max }) : undefined;
    this.ranks = new Map(this.units.map((unit, i) => [unit, i + 1]));
  }

  /** Puts a place in focus: the unit of a field that covers this byte; none clears it. */
  highlight(field?: number, byte = 0): void {
    const units = this.view?.fields[field ?? -1]?.units;
    this.active = units?.find((unit) => unit.start <= byte && byte < unit.end);
  }

  /** Whether a unit is among the strongest that are to be seen. */
  private shown(unit: Unit): boolean {
    return this.top <= 0 || (this.ranks.get(unit) ?? 0) <= this.top;
  }

  protected heading(document: Document, one: Explanation): TemplateResult {
    const how = [say.measure(one.target), ...say.method(document.method)];
    const items = how.map((item, i) => html`${i > 0 ? ' · ' : ''}<bdi>${item}</bdi>`);
    return html`<h3>${say.question(document.input, document.prediction, one.target)}</h3>
      <p class="quiet">${items}</p>`;
  }

  protected warning(one: Explanation): TemplateResult | typeof nothing {
    const what = say.warning(one);
    if (what === undefined) return nothing;
    return html`<p class="alert"><strong>NOT CONVERGED</strong>: ${what}</p>`;
  }

  /** A field's text, each unit on its shade. */
  protected text(field: FieldUnits, view: View, f: number): TemplateResult {
    // The words are drawn again only when they change, not when another is in focus.
    const words = guard([view, this.top, this.selected], () => this.words(field, view, f));
    if (field.units.length === 0) return html`<p class="text" dir="auto">${words}</p>`;
    const current = this.active?.field === f ? field.units.indexOf(this.active) : -1;
    const name = view.fields.length > 1 ? visible(field.field.name) : 'text';
    return html`<div
      class="text"
      dir="auto"
      role="listbox"
      tabindex="0"
      aria-label=${`${name}: ${view.by}s with their scores`}
      aria-activedescendant=${current >= 0 ? `u${f}-${current}` : nothing}
      @keydown=${(event: KeyboardEvent) => this.key(event, field)}
      @focus=${() => this.enter(field)}
      @pointerover=${(event: Event) => this.point(event, field)}
      @click=${(event: Event) => this.pick(event, field)}
    >${words}</div>`;
  }

  /** The pieces of a text, those in a box that the explanation is about. */
  private words(field: FieldUnits, view: View, f: number): TemplateResult[] {
    const all = pieces(field);
    if (all.length === 0) return [html`<span class="special">(empty)</span>`];
    const few = unitCount(view) <= FEW;
    const runs: TemplateResult[] = [];
    let u = 0;
    for (let i = 0; i < all.length; ) {
      const focused = all[i]!.focused;
      let end = i;
      while (end < all.length && all[end]!.focused === focused) end++;
      const run = all
        .slice(i, end)
        .map((piece) =>
          piece.unit ? this.mark(piece.unit, u++, f, view, few) : html`${visibleLines(piece.text)}`,
        );
      runs.push(focused ? html`<span class="about">${run}</span>` : html`${run}`);
      i = end;
    }
    return runs;
  }

  protected override updated(): void {
    const at = this.active;
    const u = at ? this.view?.fields[at.field]?.units.indexOf(at) : undefined;
    const next = at && this.renderRoot.querySelector(`#u${at.field}-${u}`);
    for (const old of this.renderRoot.querySelectorAll('.w.active')) {
      if (old !== next) old.classList.remove('active');
    }
    next?.classList.add('active');
  }

  private mark(unit: Unit, u: number, f: number, view: View, few: boolean): TemplateResult {
    const covers = unit.start < unit.end;
    const text = covers ? visibleLines(unit.text) : label(unit.text);
    const strong = this.shown(unit);
    const shade = strong ? view.scale.shade(unit.score) : '';
    const sign = { p: 'raises', s: 'raises', n: 'lowers' }[shade[0] ?? ''] ?? '';
    const share = Math.abs(view.scale.share(unit.score));
    const numbered = covers && strong && share >= (few ? 0.05 : 0.4);
    const number = numbered ? view.scale.short(unit.score) : nothing;
    const classes = ['w', shade, sign, unit.special ? 'special' : '', covers ? '' : 'none'];
    if (unit === this.selected) classes.push('selected');
    const pad = numbered ? room(number as string, text) : '';
    // Were a mark not isolated, `[CLS]` would make every text one that runs from left to right.
    const said = `${label(unit.text)}, ${view.scale.number(unit.score)}`;
    return html`<span
      id=${`u${f}-${u}`}
      role="option"
      data-u=${u}
      aria-selected=${unit === this.selected ? 'true' : 'false'}
      aria-label=${said}
      class=${classes.filter(Boolean).join(' ')}
      .style=${pad}
      data-v=${number}
      >${covers ? text : html`<bdi>${text}</bdi>`}</span>`;
  }

  private at(event: Event, field: FieldUnits): Unit | undefined {
    const target = event.target as Element | null;
    const u = target?.closest?.('[data-u]')?.getAttribute('data-u');
    return u === null || u === undefined ? undefined : field.units[Number(u)];
  }

  private point(event: Event, field: FieldUnits): void {
    const unit = this.at(event, field);
    if (unit) this.focusOn(unit);
  }

  private pick(event: Event, field: FieldUnits): void {
    const unit = this.at(event, field);
    if (unit) this.select(unit);
  }

  private enter(field: FieldUnits): void {
    if (!this.active || !field.units.includes(this.active)) this.focusOn(field.units[0]);
  }

  private key(event: KeyboardEvent, field: FieldUnits): void {
    const now = this.active ? field.units.indexOf(this.active) : -1;
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      if (this.active) this.select(this.active);
      return;
    }
    const next = keyTarget(
      event,
      now,
      field.units.length,
      getComputedStyle(event.currentTarget as Element).direction === 'rtl',
    );
    if (next === undefined) return;
    event.preventDefault();
    this.focusOn(field.units[next]);
    void this.updateComplete.then(() => {
      this.renderRoot.querySelector('.w.active')?.scrollIntoView?.({ block: 'nearest' });
    });
  }

  private focusOn(unit: Unit | undefined): void {
    if (!unit || unit === this.active) return;
    this.active = unit;
    this.emit('token-focus', detail(unit));
  }

  private select(unit: Unit): void {
    this.selected = this.selected === unit ? undefined : unit;
    this.active = unit;
    this.emit('token-select', detail(unit));
  }

  /** The exact numbers of the place in focus. */
  protected readout(view: View): TemplateResult | typeof nothing {
    if (this.bare) return nothing;
    const unit = this.active;
    if (!unit) {
      return html`<p class="readout">point at a ${view.by}, or move with the arrow keys, for its exact numbers</p>`;
    }
    const sum = view.explanation.scores.flat().reduce((all, score) => all + Math.abs(score), 0);
    const field = view.fields[unit.field]!.field;
    const spelled = unit.tokens.map((t) => label(field.tokens[t]!.text)).join(' + ');
    const parts = [
      unit.start < unit.end ? `bytes ${unit.start}–${unit.end}` : 'covers no text',
      `${unit.tokens.length === 1 ? 'token' : 'tokens'} ${spelled}`,
      sum > 0 ? `${((100 * Math.abs(unit.score)) / sum).toFixed(1)}% of all absolute scores` : '',
      `rank ${this.ranks.get(unit)} of ${this.ranks.size}`,
    ];
    const error = unit.error === undefined ? '' : ` ± ${unit.error}`;
    return html`<p class="readout on"><bdi>${label(unit.text)}</bdi>
      <span class="value">${typeset(`${unit.score}${error}`)}</span> ·
      ${parts.filter(Boolean).join(' · ')}</p>`;
  }

  /** The strongest units with bars; not for a text so short that it shows them all. */
  protected strongest(view: View): TemplateResult | typeof nothing {
    const limit = this.top > 0 ? Math.min(this.top, STRONGEST) : STRONGEST;
    const all = this.units.filter((unit) => Math.abs(view.scale.share(unit.score)) >= 0.01);
    if (all.length < 3) return nothing;
    const bar = (unit: Unit) => {
      const shade = view.scale.signed ? (unit.score < 0 ? 'n10' : 'p10') : 's10';
      const width = `--v:${Math.abs(view.scale.share(unit.score)).toFixed(3)}`;
      return html`<span class=${view.scale.signed ? 'bar signed' : 'bar'}><span class=${shade} .style=${width}></span></span>`;
    };
    return html`<ol class="strongest" aria-label="strongest first">
      ${all.slice(0, limit).map(
        (unit) => html`<li class=${unit.special ? 'special' : ''}><bdi>${label(unit.text)}</bdi>
          <span class="value">${view.scale.number(unit.score)}</span> ${bar(unit)}</li>`,
      )}
    </ol>`;
  }

  /** What the colours mean. */
  protected legend(view: View): TemplateResult {
    return legend(view, this.palette, this.top);
  }

  /** All numbers as a table, made when it is opened. */
  protected table(view: View): TemplateResult {
    const count = unitCount(view);
    const name = count === 1 ? view.by : `${view.by}s`;
    return html`<details @toggle=${(event: Event) => {
      this.open = (event.target as HTMLDetailsElement).open;
    }}>
      <summary>${count} ${name} as a table</summary>
      ${this.open ? this.rows(view) : nothing}
    </details>`;
  }

  private rows(view: View): TemplateResult {
    const several = view.fields.length > 1;
    const units = view.fields.flatMap((field) => field.units);
    const errors = units.some((unit) => unit.error !== undefined);
    const row = (text: string, score: number, field = '', error?: number, dim = false) =>
      html`<tr class=${dim ? 'special' : ''}>
        ${several ? html`<td><bdi>${field}</bdi></td>` : nothing}
        <th scope="row"><bdi>${text}</bdi></th>
        <td class="value">${view.scale.number(score)}</td>
        ${errors ? html`<td class="value">${error === undefined ? '' : view.scale.bare(error)}</td>` : nothing}
      </tr>`;
    return html`<div class="scroll" tabindex="0" role="region" aria-label="all scores">
      <table>
        <thead>
          <tr>
            ${several ? html`<th scope="col">field</th>` : nothing}
            <th scope="col">${view.by}</th>
            <th scope="col" class="value">score</th>
            ${errors ? html`<th scope="col" class="value">error</th>` : nothing}
          </tr>
        </thead>
        <tbody>
          ${units.map((unit) => {
            const field = visible(view.fields[unit.field]!.field.name);
            return row(label(unit.text), unit.score, field, unit.error, unit.special);
          })}
          ${view.rest ? row(view.rest.name, view.rest.score, '', undefined, true) : nothing}
          ${row('sum', say.total(view.explanation))}
        </tbody>
      </table>
    </div>`;
  }

  protected figures(view: View): TemplateResult {
    return html`<ul class="figures">
        ${say.figures(view).map((figure) => html`<li>${figure}</li>`)}
      </ul>
      ${say.notes(view.document, view.explanation).map((note) => html`<p class="note">${note}</p>`)}`;
  }
}

/**
 * Room for a number wider than its word. A digit below is 0.36 em wide, a column of text about
 * 0.5 em, and the space beside the word serves as well.
 */
function room(number: string, text: string): string {
  const missing = number.length * 0.36 - [...text].length * 0.5;
  return missing > 0 ? `padding-inline:${Math.min(missing / 2, 1.2).toFixed(2)}em` : '';
}

export function detail(unit: Unit): TokenDetail {
  const { field, tokens, start, end, text, score } = unit;
  return { field, tokens, start, end, text, score, error: unit.error ?? null };
}
