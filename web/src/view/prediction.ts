// What the model said, in words.

import { amount, percent } from '../text/numbers';
import { name, quote, token } from '../text/visible';
import type { Candidate, Input, LabelScore, Prediction } from '../wire/types';

/** How many labels beside the predicted ones are named. */
const OTHERS = 4;
/** How many entities, answers, and candidates of a token are named. */
const MOST = 20;
/** How many decisions a headline names. */
const FIRST = 5;

/** A label, entity, answer or token with its number. */
export interface Answer {
  label: string;
  value: string;
  /** The share of 1 to draw; undefined for a number that is no probability. */
  probability: number | undefined;
  /** Whether the model says that it holds. */
  holds: boolean;
}

/** The answers to one decision. */
export interface Group {
  title: string | undefined;
  answers: Answer[];
  hidden: number;
}

/** Everything that the prediction says, decision by decision. */
export function groups(prediction: Prediction): Group[] {
  switch (prediction.task) {
    case 'text-classification': {
      if (prediction.kind === 'regression')
        return [number(name(prediction.label), prediction.value)];
      return [
        labels(prediction.labels, prediction.kind === 'single-label' ? prediction.label : null),
      ];
    }
    case 'token-classification':
      return [
        group(undefined, prediction.entities, (entity) => ({
          label: `${quote(entity.text)} ${name(entity.label)}`,
          probability: entity.probability,
          holds: true,
        })),
      ];
    case 'question-answering':
      return [
        group(undefined, prediction.answers, (answer, i) => ({
          label: answer.answer === null ? 'no answer' : quote(answer.answer),
          probability: answer.probability,
          holds: i === 0,
        })),
      ];
    case 'masked-lm':
      return prediction.masks.map((mask, i, all) =>
        candidates(
          all.length > 1 ? `mask ${i + 1}` : undefined,
          mask.candidates[0],
          mask.candidates,
        ),
      );
    case 'causal-lm':
    case 'seq2seq-lm':
      return prediction.next.map((next, i, all) =>
        candidates(all.length > 1 ? `token ${i + 1}` : undefined, next, next.candidates),
      );
    case 'sentence-similarity':
      return [number('similarity', prediction.similarity)];
    default:
      return [];
  }
}

function group<T>(
  title: string | undefined,
  all: T[],
  answer: (one: T, i: number) => { label: string; probability: number; holds: boolean },
): Group {
  const answers = all.slice(0, MOST).map((one, i) => {
    const made = answer(one, i);
    return { ...made, value: percent(made.probability) };
  });
  return { title, answers, hidden: Math.max(all.length - MOST, 0) };
}

/** `best` holds; without one, each label that reaches 50 %. */
function labels(all: LabelScore[], best: string | null): Group {
  const holds = (one: LabelScore) => (best === null ? one.probability >= 0.5 : one.label === best);
  const sorted = [...all].sort(
    (a, b) => Number(holds(b)) - Number(holds(a)) || b.probability - a.probability,
  );
  const shown = sorted.filter(holds).length + OTHERS;
  const answers = sorted.slice(0, shown).map((one) => ({
    label: name(one.label),
    value: percent(one.probability),
    probability: one.probability,
    holds: holds(one),
  }));
  return { title: undefined, answers, hidden: Math.max(sorted.length - shown, 0) };
}

function number(label: string, value: number): Group {
  const answer = { label, value: amount(value), probability: undefined, holds: true };
  return { title: undefined, answers: [answer], hidden: 0 };
}

/** The token that is there, then what else could be. */
function candidates(title: string | undefined, chosen: Candidate | undefined, others: Candidate[]) {
  const rest = others.filter((other) => other.id !== chosen?.id);
  return group(title, chosen ? [chosen, ...rest] : rest, (one) => ({
    label: name(token(one.token)),
    probability: one.probability,
    holds: one.id === chosen?.id,
  }));
}

/** Whether the prediction is a text of several tokens. */
function isText(prediction: Prediction): boolean {
  return 'next' in prediction && prediction.next.length > 1;
}

/** What the prediction says holds, and how much more of that there is. */
export function holding(prediction: Prediction): { answers: Answer[]; left: number } {
  if (isText(prediction)) return { answers: [], left: 0 };
  const all = groups(prediction);
  const answers = all.flatMap((one) => one.answers).filter((answer) => answer.holds);
  if (prediction.task === 'text-classification') return { answers, left: 0 };
  const hidden =
    prediction.task === 'token-classification' ? all.reduce((sum, one) => sum + one.hidden, 0) : 0;
  return { answers: answers.slice(0, FIRST), left: Math.max(answers.length - FIRST, 0) + hidden };
}

/** What to say where nothing holds, or where the prediction is a text. */
export function otherwise(prediction: Prediction, input: Input): string {
  const last = input.fields.at(-1);
  if (isText(prediction) && last) return quote(last.text);
  switch (prediction.task) {
    case 'text-classification':
      return 'no label reaches 50%';
    case 'token-classification':
      return 'no entities';
    case 'masked-lm':
      return 'no masks';
    default:
      return 'no answer';
  }
}

/** The prediction in one phrase: `positive 99.8%`. */
export function headline(prediction: Prediction, input: Input): string {
  const { answers, left } = holding(prediction);
  const phrases = answers.map((answer) => `${answer.label} ${answer.value}`);
  if (left > 0) phrases.push(`${left} more`);
  return phrases.length > 0 ? phrases.join(', ') : otherwise(prediction, input);
}
