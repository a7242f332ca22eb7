// The question: which model, which text.

import { html, nothing, type TemplateResult } from 'lit';
import { visible } from '../../text/visible';
import { type InputField, type ModelEntry, type Texts, textsOf } from '../../wire/http';
import { fieldValue, Panel, taskName } from './panel';

const NAMES: Record<InputField, string> = {
  text: 'Text',
  pair: 'Second text',
  question: 'Question',
  context: 'Context',
  continuation: 'Continuation (optional: what it is to have written)',
};

/** Fields that are one line. */
const SHORT: InputField[] = ['question', 'continuation'];

export class AskPanel extends Panel {
  protected override render(): TemplateResult | typeof nothing {
    const { lists, view, model } = this.session;
    if (!lists || !model) return nothing;
    return html`<form class="ask" aria-label="question" @submit=${this.submit} @keydown=${this.key}>
      <label class="field"><span>Model</span>
        <select id="model" @change=${(event: Event) => this.session.choose(fieldValue(event))}>
          ${lists.models.map((one) => html`<option value=${one.id} .selected=${one === model} ?disabled=${!!one.problem}>${visible(one.id)}${one.task ? ` (${taskName(one.task)})` : ''}</option>`)}
        </select></label>
      ${this.about(model)}
      ${this.examples(model)}
      ${shownFields(model, view.input).map((field) => this.text(field, view.input[field] ?? ''))}
      ${this.second(model)}
      ${this.options(model)}
      <div class="actions">
        <button type="submit" class="primary">Explain</button>
        <span class="note" role="status">${this.session.edited ? 'edited since it was explained' : ''}</span>
      </div>
    </form>`;
  }

  private about(model: ModelEntry): TemplateResult {
    const size = model.parameters ? `${compact(model.parameters)} parameters` : '';
    const facts = [taskName(model.task), model.family, size, model.license ?? ''].filter(Boolean);
    return html`<p class="note about">${model.description ? html`${visible(model.description)}<br>` : nothing}${visible(facts.join(' · '))}</p>`;
  }

  private examples(model: ModelEntry): TemplateResult | typeof nothing {
    if (model.examples.length === 0) return nothing;
    const now = JSON.stringify(this.session.view.input);
    const at = model.examples.findIndex((one) => JSON.stringify(textsOf(one.input)) === now);
    return html`<label class="field"><span>Example</span>
      <select id="example" @change=${(event: Event) => {
        const example = model.examples[Number(fieldValue(event))];
        if (example) this.session.start({ input: textsOf(example.input) });
      }}>
        <option value="-1" .selected=${at < 0} disabled>your own</option>
        ${model.examples.map((one, i) => html`<option value=${i} .selected=${i === at}>${visible(one.title)}</option>`)}
      </select></label>`;
  }

  /** A model that reads one text may be given two. */
  private second(model: ModelEntry): TemplateResult | typeof nothing {
    const { input } = this.session.view;
    if (!model.fields.includes('pair') || pairs(model) || input.pair !== undefined) return nothing;
    return html`<div><button type="button" class="small" @click=${() => this.session.set({ input: { ...input, pair: '' } })}>Add a second text</button></div>`;
  }

  private text(field: InputField, value: string): TemplateResult {
    const rows = SHORT.includes(field) ? 1 : 3;
    return html`<label class="field"><span>${NAMES[field]}</span>
      <textarea name=${field} dir="auto" rows=${rows} spellcheck="false" .value=${value} @input=${(
        event: Event,
      ) => {
        this.session.type({ ...this.session.view.input, [field]: fieldValue(event) });
      }}></textarea></label>`;
  }

  private options(model: ModelEntry): TemplateResult {
    const count = (name: string, label: string, usual: string) =>
      html`<label class="inline">${label} <input type="number" min="0" inputmode="numeric" name=${name} placeholder=${usual}
        .value=${this.session.view.options[name] ?? ''} @change=${(event: Event) => this.option(name, fieldValue(event))}></label>`;
    const tick = (name: string, label: string) =>
      html`<label class="inline"><input type="checkbox" name=${name} .checked=${this.session.view.options[name] === 'true'}
        @change=${(event: Event) => this.option(name, String((event.target as HTMLInputElement).checked))}> ${label}</label>`;
    const { task } = model;
    const writes = task === 'causal-lm' || task === 'seq2seq-lm';
    const asks = task === 'question-answering';
    return html`<details class="options"><summary>Reading options</summary><div class="grid">
      ${writes ? count('generate', 'tokens to write', task === 'causal-lm' ? '1' : 'up to 64') : nothing}
      ${writes || asks || task === 'masked-lm' ? count('top', 'candidates to tell', '5') : nothing}
      ${
        task === 'token-classification'
          ? html`<label class="inline">labels to entities <select name="aggregation" @change=${(event: Event) => this.option('aggregation', fieldValue(event))}>
              ${['simple', 'first', 'average', 'max'].map((how) => html`<option value=${how === 'simple' ? '' : how} .selected=${(this.session.view.options.aggregation ?? '') === (how === 'simple' ? '' : how)}>${how}</option>`)}
            </select></label>`
          : nothing
      }
      ${asks ? html`${count('stride', 'overlap of windows', '128')}${count('max_answer', 'tokens of an answer', '30')}${tick('unanswerable', 'there may be no answer')}` : nothing}
      ${tick('truncate', 'cut texts that are too long')}
    </div></details>`;
  }

  private option(name: string, value: string): void {
    const options = { ...this.session.view.options, [name]: value };
    this.session.set({ options, explanation: 0 });
    this.session.ask();
  }

  private submit = (event: Event): void => {
    event.preventDefault();
    this.session.attack.clear();
    this.session.set({ attacked: false, explanation: 0 });
    this.session.ask();
  };

  private key = (event: KeyboardEvent): void => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.submit(event);
  };
}

/**
 * The fields to show: a question has either a text or a context, and a second text is shown where it
 * is usual or given.
 */
export function shownFields(model: ModelEntry, input: Texts): InputField[] {
  const context = model.fields.includes('context');
  const order: InputField[] = ['question', 'context', 'text', 'pair', 'continuation'];
  return order.filter((field) => {
    if (!model.fields.includes(field) || (field === 'text' && context)) return false;
    return field !== 'pair' || input.pair !== undefined || pairs(model);
  });
}

/** Whether a model usually reads two texts. */
function pairs(model: ModelEntry): boolean {
  return model.examples.some((one) => typeof one.input.pair === 'string');
}

function compact(n: number): string {
  return new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 }).format(n);
}

customElements.define('ask-panel', AskPanel);
