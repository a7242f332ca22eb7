// Several written tokens at once: which of the tokens before each spoke for it.

import { Utf8Text } from '../text/bytes';
import type { Document, Explanation } from '../wire/types';
import { position, readOf, written } from './focus';
import { Scale } from './scale';

/** A token that was read. */
export interface Column {
  text: string;
  field: number;
  /** Its place among the field's tokens. */
  token: number;
  special: boolean;
}

/** A token that was written. */
export interface Row {
  explanation: Explanation;
  text: string;
  /** One for each column; undefined for a token that had not been written yet. */
  scores: Array<number | undefined>;
}

/** Rows are written tokens, columns the tokens before them. */
export interface Grid {
  columns: Column[];
  rows: Row[];
  /** One for all rows, so that they can be compared. */
  scale: Scale;
}

/** The grid of a document; undefined if it does not explain several written tokens. */
export function gridOf(document: Document): Grid | undefined {
  const { explanations } = document;
  const positions = explanations.map((one) => position(one.target));
  if (written(document).length === 0 || explanations.length < 2) return undefined;
  if (positions.includes(undefined)) return undefined;
  const last = Math.max(...(positions as number[]));
  const columns = document.input.fields.flatMap((field, f) => {
    const text = new Utf8Text(field.text);
    return field.tokens.map((token, t): Column => {
      const [start, end] = text.trim(token.start, token.end);
      const shown = start === end ? token.text : text.slice(start, end);
      return { text: shown, field: f, token: t, special: token.special };
    });
  });
  const rows = explanations.map((one) => rowOf(document, one, last));
  let max = 0;
  let negative = false;
  for (const score of rows.flatMap((row) => row.scores)) {
    if (score === undefined) continue;
    max = Math.max(max, Math.abs(score));
    negative ||= score < 0;
  }
  const signed = negative || explanations.some((one) => !one.magnitudes);
  return { columns: columns.slice(0, last), rows, scale: new Scale(max, signed) };
}

/** The columns to show where there is room for `most`: the strongest, in their order. */
export function strongestColumns(grid: Grid, most: number): number[] {
  const all = grid.columns.map((_, c) => c);
  if (all.length <= most) return all;
  const strength = all.map((c) =>
    Math.max(...grid.rows.map((row) => Math.abs(row.scores[c] ?? 0))),
  );
  const kept = all.sort((a, b) => strength[b]! - strength[a]!).slice(0, most);
  return kept.sort((a, b) => a - b);
}

function rowOf(document: Document, one: Explanation, columns: number): Row {
  const read = readOf(document, one);
  const scores = one.scores.flatMap((list, f) =>
    list.map((score, t) => (t < read[f]! ? score : undefined)),
  );
  const { target } = one;
  const text = target.kind === 'token' || target.kind === 'token-contrast' ? target.token : '';
  // The space before it is seen where the text is.
  const shown = text.trim() === '' ? text : text.trim();
  return { explanation: one, text: shown, scores: scores.slice(0, columns) };
}
