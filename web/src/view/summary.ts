// What all pictures say in words: the question, the figures, the warnings.

import { Utf8Text } from '../text/bytes';
import { amount, count, error, percent, typeset, withSign } from '../text/numbers';
import { name, quote, visible } from '../text/visible';
import type { Document, Explanation, Input, Method, Prediction, Target } from '../wire/types';
import type { View } from './units';

/** The question: `why positive`, `why positive rather than negative`, `why “Berlin” is LOC`. */
export function question(input: Input, prediction: Prediction, target: Target): string {
  switch (target.kind) {
    case 'label':
      return `why ${name(target.label)}`;
    case 'contrast':
      return `why ${name(target.label)} rather than ${name(target.versus)}`;
    case 'entity': {
      const field = input.fields[target.field];
      const text = field ? new Utf8Text(field.text).slice(target.span[0]!, target.span[1]!) : '';
      return `why ${quote(text)} is ${name(target.label)}`;
    }
    case 'answer': {
      const versus = target.versus ? ` rather than ${quote(target.versus)}` : '';
      if (target.text === null) return `why there is no answer${versus}`;
      return `why the answer ${quote(target.text)}${versus}`;
    }
    case 'token':
      return `why ${quote(target.token)}${place(input, prediction, target.position)}`;
    case 'token-contrast': {
      const where = place(input, prediction, target.position);
      return `why ${quote(target.token)} rather than ${quote(target.versus)}${where}`;
    }
    case 'similarity':
      return 'why this similarity';
    default:
      return 'why';
  }
}

/** Which of several masks or written tokens: ` (token 2 of 7)`. */
function place(input: Input, prediction: Prediction, position: number): string {
  const before = (field: number) =>
    input.fields.slice(0, field).reduce((sum, one) => sum + one.tokens.length, 0);
  let [what, index, all] = ['token', -1, 0];
  if (prediction.task === 'masked-lm') {
    what = 'mask';
    all = prediction.masks.length;
    index = prediction.masks.findIndex((mask) => before(mask.field) + mask.token === position);
  } else if ('next' in prediction) {
    all = prediction.next.length;
    index = position + all - before(input.fields.length);
  }
  return index >= 0 && index < all && all > 1 ? ` (${what} ${index + 1} of ${all})` : '';
}

function contrasts(target: Target): boolean {
  return 'versus' in target && target.versus !== undefined && target.versus !== null;
}

/** The quantity: `logit`, or `difference in logit`. */
export function quantity(target: Target): string {
  return `${contrasts(target) ? 'difference in ' : ''}${visible(target.quantity)}`;
}

/** The quantity with what it is a quantity of, where that is not one output. */
export function measure(target: Target): string {
  if (target.kind === 'entity') return `${quantity(target)} of its tokens together`;
  if (target.kind === 'answer') return `${quantity(target)} of start and end together`;
  return quantity(target);
}

/** The target in a few words: `positive`, or `positive rather than negative`. */
export function describe(target: Target): string {
  const versus = contrasts(target) ? (target as { versus: string }).versus : undefined;
  let what = 'similarity';
  if (target.kind === 'answer') what = target.text ?? 'no answer';
  else if ('label' in target) what = target.label;
  else if ('token' in target) what = target.token;
  return name((versus === undefined ? what : `${what} rather than ${versus}`).trim());
}

/** What the marked part of the text is. */
export function focusName(document: Document, target: Target): string {
  if (target.kind === 'entity') return 'the entity';
  if (target.kind === 'answer') return 'the answer';
  return document.prediction.task === 'masked-lm' ? 'the mask' : 'the token';
}

/** The method and its settings, one item each. */
export function method(one: Method): string[] {
  const settings = Object.entries(one.settings).map(([key, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return `${visible(key)}=${name(text)}`;
  });
  return [visible(one.id), ...settings];
}

/** The sum of all scores, special tokens included. */
export function total(one: Explanation): number {
  return one.scores.flat().reduce((sum, score) => sum + score, 0);
}

/** The figures under a picture. */
export function figures(view: View): string[] {
  const one = view.explanation;
  const all = [`F(x) ${amount(one.output)}`];
  if (one.baseline_output !== null) all.push(`F(baseline) ${amount(one.baseline_output)}`);
  // Scores that promise no sum, such as norms, do not sum to anything.
  if (one.delta !== null) {
    const sum = total(one);
    all.push(`sum ${withSign(sum, amount(sum))}`);
    all.push(`completeness error ${completeness(one, one.delta)}`);
  }
  if (one.error_estimate !== null) all.push(`error estimate ${error(one.error_estimate)}`);
  all.push(count(one.gradient_evaluations, 'gradient evaluation'));
  if (view.rest) all.push(`${view.rest.name} ${view.scale.number(view.rest.score)}`);
  return all.map(typeset);
}

/** The completeness error, and its share of what the scores should add up to. */
function completeness(one: Explanation, delta: number): string {
  const difference = one.baseline_output === null ? 0 : one.output - one.baseline_output;
  const written = withSign(delta, error(delta));
  if (difference === 0) return written;
  // A difference near 0 makes the share meaningless.
  const share = Math.abs(delta / difference);
  return `${written} (${share > 9.995 ? '>999%' : percent(share)})`;
}

/** What to do about scores that are not as accurate as asked for; undefined when they are. */
export function warning(one: Explanation): string | undefined {
  if (one.converged !== false) return undefined;
  let size = '';
  if (one.delta !== null) size = `the completeness error is ${completeness(one, one.delta)}; `;
  else if (one.error_estimate !== null)
    size = `the estimated error is ${error(one.error_estimate)}; `;
  return `${typeset(size)}use the adaptive rule with more evaluations, or another baseline`;
}

/** What the model did not read. */
export function truncation(truncated: number | null | undefined): string | undefined {
  if (!truncated) return undefined;
  return truncated === 1
    ? '1 token did not fit the model and was not read'
    : `${truncated} tokens did not fit the model and were not read`;
}

/** What else to know: the method's notes, and what the model did not read. */
export function notes(document: Document, one?: Explanation): string[] {
  const all = (one?.notes ?? []).map(visible);
  const cut = truncation(document.truncated);
  return cut ? [...all, cut] : all;
}

/** Why there is no explanation, where the prediction alone does not say so. */
export function unexplained(document: Document): string | undefined {
  const { prediction } = document;
  if (prediction.task !== 'token-classification') return undefined;
  return prediction.entities.length > 0
    ? 'none of these entities was to be explained'
    : 'there is nothing to explain';
}
