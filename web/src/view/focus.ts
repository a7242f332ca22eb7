// What an explanation is about, as a place in the input, and how much of it the model had read.

import type { Utf8Text } from '../text/bytes';
import type { Document, Explanation, Target } from '../wire/types';

/** A part of a field's text, in bytes. */
export interface Focus {
  field: number;
  start: number;
  end: number;
}

/** The tokens that a language model wrote, or would write first; empty for other tasks. */
export function written(document: Document) {
  const { prediction } = document;
  return prediction.task === 'causal-lm' || prediction.task === 'seq2seq-lm' ? prediction.next : [];
}

/** The place of a token that is explained, as an index into all fields' tokens. */
export function position(target: Target): number | undefined {
  return target.kind === 'token' || target.kind === 'token-contrast' ? target.position : undefined;
}

/** The entity, answer, mask or written token that is explained, where it stands in the input. */
export function focusOf(
  document: Document,
  one: Explanation,
  texts: Utf8Text[],
): Focus | undefined {
  const { target } = one;
  let place: [number, number, number] | undefined;
  if (target.kind === 'entity') place = [target.field, target.span[0]!, target.span[1]!];
  else if (target.kind === 'answer' && target.span) {
    place = [target.field, target.span[0]!, target.span[1]!];
  } else place = locate(document, position(target));
  if (!place || !texts[place[0]]) return undefined;
  const [start, end] = texts[place[0]]!.trim(place[1], place[2]);
  return start < end ? { field: place[0], start, end } : undefined;
}

function locate(document: Document, at: number | undefined): [number, number, number] | undefined {
  if (at === undefined) return undefined;
  let left = at;
  for (const [f, field] of document.input.fields.entries()) {
    const token = field.tokens[left];
    if (token) return [f, token.start, token.end];
    left -= field.tokens.length;
  }
  return undefined;
}

/**
 * How many of each field's tokens the model had read: those before the token that it was to write.
 * For other tasks, all.
 */
export function readOf(document: Document, one: Explanation): number[] {
  const writes =
    document.prediction.task === 'causal-lm' || document.prediction.task === 'seq2seq-lm';
  let left = (writes ? position(one.target) : undefined) ?? Number.POSITIVE_INFINITY;
  return document.input.fields.map((field) => {
    const read = Math.min(field.tokens.length, left);
    left -= read;
    return read;
  });
}
