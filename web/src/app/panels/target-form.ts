// What is explained: the predicted, another, or one rather than the other; and how it is measured.

import { html, nothing, type TemplateResult } from 'lit';
import { visible } from '../../text/visible';
import type { ModelInfo } from '../../wire/http';
import type { Prediction } from '../../wire/types';
import type { Session } from '../state/session';
import { fieldValue } from './panel';

const SEPARATOR = '-vs-';

/** Splits `A-vs-B` where A and B are labels; what is no contrast is the first alone. */
export function splitTarget(target: string, labels: string[]): [string, string] {
  if (labels.includes(target)) return [target, ''];
  for (let at = target.indexOf(SEPARATOR); at >= 0; at = target.indexOf(SEPARATOR, at + 1)) {
    const [a, b] = [target.slice(0, at), target.slice(at + SEPARATOR.length)];
    if (labels.length === 0 || (labels.includes(a) && labels.includes(b))) return [a, b];
  }
  return [target, ''];
}

export function joinTarget(what: string, versus: string): string {
  return versus === '' ? what : `${what}${SEPARATOR}${versus}`;
}

/** The label, token or answer that the model predicts; empty where there is none or several. */
export function predicted(prediction: Prediction | undefined): string {
  switch (prediction?.task) {
    case 'text-classification':
      return prediction.kind === 'regression' ? '' : prediction.label;
    case 'causal-lm':
    case 'seq2seq-lm':
      return prediction.next.length === 1 ? prediction.next[0]!.token : '';
    case 'masked-lm':
      return prediction.masks.length === 1 ? (prediction.masks[0]!.candidates[0]?.token ?? '') : '';
    case 'question-answering':
      return prediction.answer ?? '';
    default:
      return '';
  }
}

/** Names that could be a target: labels, or candidates of the prediction. */
export function suggestions(model: ModelInfo, prediction: Prediction | undefined): string[] {
  if (model.labels.length > 0) return kinds(model);
  switch (prediction?.task) {
    case 'causal-lm':
    case 'seq2seq-lm':
      return [
        ...new Set(prediction.next.flatMap((next) => next.candidates.map((one) => one.token))),
      ];
    case 'masked-lm':
      return [
        ...new Set(prediction.masks.flatMap((mask) => mask.candidates.map((one) => one.token))),
      ];
    case 'question-answering':
      return prediction.answers.flatMap((one) => one.answer ?? []);
    default:
      return [];
  }
}

/** The labels; of a tagger the kinds of entities, without the prefix that says where they begin. */
export function kinds(model: ModelInfo): string[] {
  if (model.task !== 'token-classification') return model.labels;
  const names = model.labels
    .filter((label) => label !== 'O')
    .map((label) => label.replace(/^[BIESLU]-/, ''));
  return [...new Set(names)];
}

export function targetForm(session: Session): TemplateResult | typeof nothing {
  const { view, model, lists } = session;
  if (!model || !lists) return nothing;
  const said = session.prediction.value?.prediction;
  const names = suggestions(model, said);
  const closed = model.labels.length > 0;
  const [what, versus] = splitTarget(view.target, closed ? names : []);
  const best = predicted(said);
  const contrasts =
    best !== '' ||
    (what !== '' && !['token-classification', 'sentence-similarity'].includes(model.task));
  const change = (target: string) => session.explainAll({ target });
  const quantities = html`<label class="inline">measured as
    <select id="quantity" @change=${(event: Event) => session.explainAll({ quantity: fieldValue(event) })}>
      ${lists.methods.quantities.map((one, i) => html`<option value=${i === 0 ? '' : one} .selected=${view.quantity === (i === 0 ? '' : one)}>${one}</option>`)}
    </select></label>`;
  if (model.task === 'sentence-similarity') return html`<div class="row">${quantities}</div>`;
  const options = (chosen: string, left: string) =>
    names
      .filter((name) => name !== left)
      .map(
        (name) =>
          html`<option value=${name} .selected=${name === chosen}>${visible(name)}</option>`,
      );
  const whatField = closed
    ? html`<select id="target" @change=${(event: Event) => change(joinTarget(fieldValue(event), fieldValue(event) === '' ? '' : versus))}>
        <option value="" .selected=${what === ''}>the predicted${best ? ` (${visible(best)})` : ''}</option>${options(what, '')}</select>`
    : html`<input id="target" type="text" list="targets" autocomplete="off" placeholder=${best ? `predicted: ${best}` : 'predicted'} .value=${what}
        @change=${(event: Event) => change(joinTarget(fieldValue(event), versus))}>`;
  const rather = (event: Event) =>
    change(fieldValue(event) === '' ? what : joinTarget(what || best, fieldValue(event)));
  const versusField = closed
    ? html`<select id="versus" @change=${rather}><option value="" .selected=${versus === ''}>nothing else</option>${options(versus, what || best)}</select>`
    : html`<input id="versus" type="text" list="targets" autocomplete="off" placeholder="nothing else" .value=${versus} @change=${rather}>`;
  return html`<div class="row">
    <label class="inline">why ${whatField}</label>
    ${contrasts ? html`<label class="inline">rather than ${versusField}</label>` : nothing}
    ${quantities}
    ${closed ? nothing : html`<datalist id="targets">${names.map((name) => html`<option value=${name}></option>`)}</datalist>`}
  </div>`;
}
