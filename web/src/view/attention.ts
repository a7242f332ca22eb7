// Attention of one layer and head, of the mean of heads, or through all layers.

import { Utf8Text } from '../text/bytes';
import { label } from '../text/visible';
import type { AttentionDocument } from '../wire/http';

/** A token of the input, by its place in its field. */
export interface Place {
  text: string;
  field: number;
  token: number;
  start: number;
  end: number;
  special: boolean;
}

/** Which attention: a head, the mean over a layer's heads, or through all layers. */
export interface Choice {
  layer: number;
  head: number | 'mean';
  rollout: boolean;
}

export interface Weights {
  queries: Place[];
  keys: Place[];
  /** Weight by query and key, 0 to 1. */
  rows: number[][];
  max: number;
}

/** All tokens, one field after the other. */
export function places(document: AttentionDocument): Place[] {
  return document.input.fields.flatMap((field, f) => {
    const text = new Utf8Text(field.text);
    return field.tokens.map((token, t): Place => {
      const [start, end] = text.trim(token.start, token.end);
      const shown = start === end ? token.text : text.slice(start, end);
      return { text: label(shown), field: f, token: t, start, end, special: token.special };
    });
  });
}

export function weightsOf(
  document: AttentionDocument,
  choice: Choice,
  all = places(document),
): Weights {
  const heads = document.attention[choice.layer] ?? [];
  let rows: number[][];
  if (choice.rollout && document.rollout) rows = document.rollout;
  else if (choice.head === 'mean') rows = mean(heads);
  else rows = heads[choice.head] ?? [];
  const unknown: Place = { text: '?', field: 0, token: 0, start: 0, end: 0, special: true };
  let max = 0;
  for (const row of rows) for (const weight of row) max = Math.max(max, weight);
  // Rows and columns stand in the order in which the model read.
  const read = document.queries.map((q) => all[q] ?? unknown);
  return { queries: read, keys: read, rows, max };
}

function mean(heads: number[][][]): number[][] {
  const [first] = heads;
  if (!first) return [];
  return first.map((row, q) =>
    row.map((_, k) => heads.reduce((sum, head) => sum + (head[q]?.[k] ?? 0), 0) / heads.length),
  );
}

/** The keys that a query looks at most, the strongest first. */
export function strongestKeys(row: number[], most: number): number[] {
  const all = row.map((_, k) => k).filter((k) => row[k]! > 0);
  return all.sort((a, b) => row[b]! - row[a]!).slice(0, most);
}
