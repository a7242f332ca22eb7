// What the colours of a heat map mean, in words.

import { html, nothing, type TemplateResult } from 'lit';
import type { PaletteName } from '../palette';
import * as say from '../view/summary';
import type { View } from '../view/units';

/** The names of a palette's ends: what raises, what lowers. */
const ENDS: Record<PaletteName, [string, string]> = {
  'blue-orange': ['orange, solid line', 'blue, dotted line'],
  'purple-green': ['green, solid line', 'purple, dotted line'],
  grey: ['solid line', 'dotted line'],
};

/** `top` is how many of the strongest are coloured, 0 for all. */
export function legend(view: View, palette: PaletteName, top: number): TemplateResult {
  const { explanation, document } = view;
  const focus = view.fields.some((field) => field.focus)
    ? html`; boxed: <span class="about">${say.focusName(document, explanation.target)}</span>`
    : nothing;
  const only = top > 0 ? `; only the ${top} strongest are coloured` : '';
  const scale = view.scale.max > 0 ? html`; full colour: ${full(view)}` : nothing;
  return html`<p class="legend">${meaning(view, palette)}${scale}${focus}${only}</p>`;
}

/** What raises and what lowers, without a scale. */
export function meaning(view: View, palette: PaletteName): TemplateResult {
  const { scale, explanation } = view;
  const quantity = say.quantity(explanation.target);
  const of = html`<bdi>${say.describe(explanation.target)}</bdi>`;
  if (scale.max === 0) return html`every score is zero`;
  const key = (shade: string, sign: string, text: string) =>
    html`<span class=${`swatch ${shade} ${sign}`}>${text}</span>`;
  if (!scale.signed) {
    return html`${key('s7', 'raises', 'the deeper the colour')} the more it matters for the ${quantity} (${of})`;
  }
  const [raises, lowers] = ENDS[palette] ?? ENDS['blue-orange'];
  return html`${key('p7', 'raises', raises)} raises the ${quantity} (${of}), ${key('n7', 'lowers', lowers)} lowers it`;
}

function full({ scale }: View): string {
  return scale.signed ? `±${scale.bare(scale.max)}` : scale.number(scale.max);
}
