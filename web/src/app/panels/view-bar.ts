// How pictures are drawn: words or tokens, how many, which numbers, which colours.

import { html, type TemplateResult } from 'lit';
import { PALETTES, type PaletteName } from '../../palette';
import type { Normalise } from '../../view/scale';
import type { Session } from '../state/session';
import { fieldValue } from './panel';

const NUMBERS: Array<[Normalise, string]> = [
  ['raw', 'as computed'],
  ['share', 'share of all'],
  ['strongest', 'part of the strongest'],
];

/** `units` is how many there are to choose from. */
export function viewBar(session: Session, units: number): TemplateResult {
  const { view } = session;
  const by = (unit: 'word' | 'token') =>
    html`<label><input type="radio" name="by" value=${unit} .checked=${view.by === unit} @change=${() => session.set({ by: unit })}>${unit}s</label>`;
  const top = Math.min(view.top, units);
  const most = Math.max(units, 1);
  return html`<fieldset class="bar"><legend class="hidden">how it is drawn</legend>
    <span class="switch" role="radiogroup" aria-label="unit">${by('word')}${by('token')}</span>
    <label class="inline">strongest
      <input id="top" type="range" min="1" max=${most} .value=${String(top === 0 ? most : top)}
        aria-valuetext=${top === 0 ? 'all' : `${top} of ${most}`}
        @input=${(event: Event) => {
          const value = Number(fieldValue(event));
          session.set({ top: value >= most ? 0 : value });
        }}><output>${top === 0 ? 'all' : top}</output></label>
    <label class="inline">numbers <select id="normalise" @change=${(event: Event) => session.set({ normalise: fieldValue(event) as Normalise })}>
      ${NUMBERS.map(([id, name]) => html`<option value=${id} .selected=${id === view.normalise}>${name}</option>`)}
    </select></label>
    <label class="inline">palette <select id="palette" @change=${(event: Event) => session.set({ palette: fieldValue(event) as PaletteName })}>
      ${Object.keys(PALETTES).map((id) => html`<option value=${id} .selected=${id === view.palette}>${id.replace('-', ' and ')}</option>`)}
    </select></label>
  </fieldset>`;
}
