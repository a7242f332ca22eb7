// Reads what came from somewhere else, and says where it is not what it should be: a page shows that
// sentence instead of a half-drawn picture.

import type { AttentionDocument, PredictDocument } from './http';
import type {
  AttackDocument,
  AttackSummary,
  Document,
  Explanation,
  Field,
  Input,
  TriggerDocument,
} from './types';

export type AnyDocument =
  | Document
  | AttackDocument
  | AttackSummary
  | TriggerDocument
  | PredictDocument
  | AttentionDocument;

/** What is wrong with a document, and where. */
export class WireError extends Error {}

const VERSION = 1;

/** One document, an array of them, JSON, or JSON Lines. */
export function documentsOf(value: unknown): AnyDocument[] {
  if (value === undefined || value === null) return [];
  if (typeof value === 'string') return parse(value).map(checked);
  return (Array.isArray(value) ? value : [value]).map(checked);
}

function parse(text: string): unknown[] {
  if (text.trim() === '') return [];
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [value];
  } catch (whole) {
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    if (lines.length < 2) throw new WireError(`not JSON: ${(whole as Error).message}`);
    return lines.map((line, i) => {
      try {
        return JSON.parse(line) as unknown;
      } catch (error) {
        throw new WireError(`line ${i + 1}: not JSON: ${(error as Error).message}`);
      }
    });
  }
}

export function isExplained(one: AnyDocument): one is Document {
  return 'explanations' in one;
}

export function isAttack(one: AnyDocument): one is AttackDocument {
  return 'results' in one;
}

export function isSummary(one: AnyDocument): one is AttackSummary {
  return 'summary' in one;
}

export function isTrigger(one: AnyDocument): one is TriggerDocument {
  return 'trigger' in one;
}

export function isAttention(one: AnyDocument): one is AttentionDocument {
  return 'attention' in one;
}

export function isPrediction(one: AnyDocument): one is PredictDocument {
  return 'prediction' in one && !isExplained(one);
}

function checked(value: unknown): AnyDocument {
  if (typeof value !== 'object' || value === null) {
    throw new WireError(`expected an object, got ${value === null ? 'null' : typeof value}`);
  }
  const one = value as AnyDocument;
  if (one.version !== VERSION) {
    throw new WireError(`version: expected ${VERSION}, got ${JSON.stringify(one.version)}`);
  }
  if (isExplained(one)) {
    checkInput(one.input, 'input');
    list(one.explanations, 'explanations').forEach((each, e) => {
      checkExplanation(one.input, each, `explanations[${e}]`);
    });
  } else if (isAttack(one)) {
    checkInput(one.input, 'input');
    list(one.results, 'results').forEach((result, r) => {
      checkInput(result.final, `results[${r}].final`);
      list(result.edits, `results[${r}].edits`);
    });
  } else if (isAttention(one)) {
    checkInput(one.input, 'input');
    checkAttention(one);
  } else if (isPrediction(one)) {
    checkInput(one.input, 'input');
  } else if (!isSummary(one) && !isTrigger(one)) {
    throw new WireError('neither an explanation, an attack, attention nor a prediction');
  }
  return one;
}

function list<T>(value: T[] | undefined, place: string): T[] {
  if (!Array.isArray(value)) throw new WireError(`${place}: expected a list`);
  return value;
}

function aligned(got: number, expected: number, place: string): void {
  if (got !== expected) {
    throw new WireError(`${place}: expected ${expected} entries, got ${got}`);
  }
}

function checkInput(input: Input | undefined, place: string): void {
  const fields: Field[] = list(input?.fields, `${place}.fields`);
  fields.forEach((field, f) => {
    if (typeof field.text !== 'string') {
      throw new WireError(`${place}.fields[${f}].text: expected a text`);
    }
    list(field.tokens, `${place}.fields[${f}].tokens`);
  });
}

function checkExplanation(input: Input, one: Explanation, place: string): void {
  const { fields } = input;
  for (const [name, lists] of [
    ['scores', one.scores],
    ['words', one.words],
    ['token_error_estimates', one.token_error_estimates ?? one.scores],
  ] as const) {
    aligned(list<unknown>(lists, `${place}.${name}`).length, fields.length, `${place}.${name}`);
  }
  fields.forEach((field, f) => {
    const at = `${place}.scores[${f}]`;
    aligned(list(one.scores[f], at).length, field.tokens.length, at);
    const estimates = one.token_error_estimates?.[f];
    if (estimates) {
      aligned(estimates.length, field.tokens.length, `${place}.token_error_estimates[${f}]`);
    }
    list(one.words[f], `${place}.words[${f}]`);
    for (const [s, score] of one.scores[f]!.entries()) {
      if (typeof score !== 'number') throw new WireError(`${at}[${s}]: expected a number`);
    }
  });
  if (typeof one.target?.kind !== 'string')
    throw new WireError(`${place}.target: expected a target`);
}

function checkAttention(one: AttentionDocument): void {
  const n = list(one.queries, 'queries').length;
  const square = (rows: number[][], place: string) => {
    aligned(list(rows, place).length, n, place);
    rows.forEach((row, q) => {
      aligned(list(row, `${place}[${q}]`).length, n, `${place}[${q}]`);
    });
  };
  aligned(list(one.attention, 'attention').length, one.layers, 'attention');
  one.attention.forEach((heads, l) => {
    aligned(list(heads, `attention[${l}]`).length, one.heads, `attention[${l}]`);
    heads.forEach((rows, h) => {
      square(rows, `attention[${l}][${h}]`);
    });
  });
  if (one.rollout) square(one.rollout, 'rollout');
}
