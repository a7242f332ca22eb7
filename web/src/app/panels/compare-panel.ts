// Side by side: another model, or another input, explained by the same method.

import { html, nothing, type TemplateResult } from 'lit';
import '../../elements/prediction-bars';
import '../../elements/token-heatmap';
import { visible } from '../../text/visible';
import { viewOf } from '../../view/units';
import type { InputField, ModelEntry } from '../../wire/http';
import type { Document } from '../../wire/types';
import { shownFields } from './ask-panel';
import { fieldValue, Panel, progressBox } from './panel';

export class ComparePanel extends Panel {
  protected override render(): TemplateResult | typeof nothing {
    const { session } = this;
    const { view, lists, model } = session;
    const method = view.methods[0];
    if (!lists || !model || !method) return nothing;
    const other = session.find(view.otherModel || model.id)!;
    const [one, two] = [session.explanations.get(method)?.value, session.other.value];
    const max = sharedMax(one, two, view.by);
    return html`<p class="note">both by ${method}${max === undefined ? '' : '; one scale for both'}</p>
      <div class="pair">
        <section aria-label="this">
          <div class="head">
            <h3>${visible(model.id)}</h3>
            ${shownFields(model, view.input).map((field) => html`<p class="given" dir="auto">${view.input[field]}</p>`)}
          </div>
          ${this.side(one, max)}
        </section>
        <section aria-label="the other">
          <form
            class="head"
            @submit=${(event: Event) => {
              event.preventDefault();
              session.compare();
            }}
          >
            <label class="field"><span>The other model</span>
              <select id="other-model" @change=${(event: Event) => {
                session.set({ otherModel: fieldValue(event), otherInput: {} });
                session.compare();
              }}>${lists.models
                .filter((each) => each.task === model.task)
                .map(
                  (each) =>
                    html`<option value=${each.id} .selected=${each === other}>${visible(each.id)}</option>`,
                )}</select></label>
            ${shownFields(other, { ...view.input, ...view.otherInput }).map((field) => this.text(other, field))}
            <div class="actions"><button type="submit">Compare</button></div>
            ${progressBox(session.other, 'the other')}
          </form>
          ${this.side(two, max)}
        </section>
      </div>`;
  }

  private text(other: ModelEntry, field: InputField): TemplateResult {
    const { view } = this.session;
    const value = view.otherInput[field] ?? view.input[field] ?? '';
    return html`<label class="field"><span>The other ${field === 'pair' ? 'second text' : field}</span>
      <textarea rows="2" dir="auto" spellcheck="false" name=${`other-${field}`} data-model=${other.id} .value=${value} @input=${(
        event: Event,
      ) => {
        this.session.set({
          otherInput: { ...this.session.view.otherInput, [field]: fieldValue(event) },
        });
      }}></textarea></label>`;
  }

  private side(
    document: Document | undefined,
    max: number | undefined,
  ): TemplateResult | typeof nothing {
    if (!document) return nothing;
    const { by, top, normalise, palette, explanation } = this.session.view;
    const at = Math.min(explanation, Math.max(document.explanations.length - 1, 0));
    return html`<prediction-bars .data=${document}></prediction-bars>
      <token-heatmap compact .data=${document} .explanation=${at} .by=${by} .top=${top} .normalise=${normalise} .max=${max} palette=${palette}></token-heatmap>`;
  }
}

/** The strongest score of both, where they measure the same quantity of the same thing. */
export function sharedMax(
  a: Document | undefined,
  b: Document | undefined,
  by: 'word' | 'token',
): number | undefined {
  const [one, two] = [a?.explanations[0], b?.explanations[0]];
  if (!a || !b || !one || !two) return undefined;
  if (JSON.stringify(kind(one.target)) !== JSON.stringify(kind(two.target))) return undefined;
  return Math.max(viewOf(a, one, { by }).scale.max, viewOf(b, two, { by }).scale.max);
}

function kind(target: Document['explanations'][0]['target']): unknown {
  return { kind: target.kind, quantity: target.quantity };
}

customElements.define('compare-panel', ComparePanel);
