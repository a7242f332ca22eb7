// What every picture shares: the units of a text with their scores, and one scale for them all.
//
// A unit is a word or a token. Tokens that overlap (pieces of one character, or one character that
// the tokenizer expanded) are one unit, because the reader sees one place.

import { Utf8Text } from '../text/bytes';
import type { Document, Explanation, Field } from '../wire/types';
import { type Focus, focusOf, readOf } from './focus';
import { type Normalise, Scale } from './scale';

/** What gets a score of its own. */
export type By = 'word' | 'token';

/** One scored place. */
export interface Unit {
  /** Its field, counted from 0. */
  field: number;
  /** First byte in the field's text, white space left out. */
  start: number;
  /** One past the last byte; equal to `start` for a token that covers nothing. */
  end: number;
  /** What it reads. */
  text: string;
  /** The raw score; of several tokens, their sum. */
  score: number;
  /** A bound of the score's error. Errors of summed scores add up. */
  error: number | undefined;
  special: boolean;
  /** Its tokens, counted from 0 in the field. */
  tokens: number[];
}

/** A stretch of a field's text in reading order; without a unit it has no score. */
export interface Piece {
  text: string;
  unit: Unit | undefined;
  /** Whether the explanation is about it. */
  focused: boolean;
}

/** One field with its units in reading order. */
export interface FieldUnits {
  field: Field;
  text: Utf8Text;
  /** Without those that the model had not read yet when it decided. */
  units: Unit[];
  focus: Focus | undefined;
}

/** The scores that belong to no word, when words are shown. */
export interface Rest {
  score: number;
  tokens: number;
  name: string;
}

export interface ViewOptions {
  by?: By;
  normalise?: Normalise;
  /** The strongest score of a shared scale; that of this explanation without it. */
  max?: number;
}

/** An explanation, ready to be drawn. */
export interface View {
  document: Document;
  explanation: Explanation;
  by: By;
  fields: FieldUnits[];
  rest: Rest | undefined;
  scale: Scale;
}

/** Gathers the units of an explanation. */
export function viewOf(
  document: Document,
  explanation: Explanation,
  options: ViewOptions = {},
): View {
  const by = options.by ?? 'word';
  const texts = document.input.fields.map((field) => new Utf8Text(field.text));
  const focus = focusOf(document, explanation, texts);
  const read = readOf(document, explanation);
  const rest = { score: 0, tokens: 0, special: true };
  const fields = document.input.fields.map((field, f): FieldUnits => {
    const text = texts[f]!;
    const units = (by === 'word' ? wordUnits : tokenUnits)(field, f, text, explanation, read[f]!);
    for (const [t, token] of field.tokens.slice(0, read[f]).entries()) {
      if (token.word !== null) continue;
      rest.score += explanation.scores[f]![t]!;
      rest.tokens += 1;
      rest.special &&= token.special;
    }
    return { field, text, units, focus: focus?.field === f ? focus : undefined };
  });
  const special = `${rest.special ? 'special' : 'other'} ${rest.tokens === 1 ? 'token' : 'tokens'}`;
  return {
    document,
    explanation,
    by,
    fields,
    rest:
      by === 'word' && rest.tokens > 0
        ? { score: rest.score, tokens: rest.tokens, name: special }
        : undefined,
    scale: Scale.of(document.input, explanation, fields, options),
  };
}

/** Counts the units of all fields. */
export function unitCount(view: View): number {
  return view.fields.reduce((sum, field) => sum + field.units.length, 0);
}

/** All units, the strongest first. */
export function strongestFirst(view: View): Unit[] {
  const units = view.fields.flatMap((field) => field.units);
  return units.sort((a, b) => Math.abs(b.score) - Math.abs(a.score));
}

/** Splits the whole text into scored and other pieces, nothing left out. */
export function pieces({ text, units, focus }: FieldUnits): Piece[] {
  const all: Piece[] = [];
  const plain = (from: number, to: number) => {
    const inside = (at: number) => Math.min(Math.max(at, from), Math.max(to, from));
    const bounds = [from, inside(focus?.start ?? to), inside(focus?.end ?? to), to];
    for (let i = 0; i < 3; i++) {
      const [a, b] = [bounds[i]!, bounds[i + 1]!];
      if (a < b) all.push({ text: text.slice(a, b), unit: undefined, focused: i === 1 });
    }
  };
  let at = 0;
  for (const unit of units) {
    plain(at, unit.start);
    // What covers nothing stands between two letters.
    const empty = unit.start === unit.end;
    const focused =
      focus !== undefined &&
      (empty ? focus.start < unit.start : focus.start < unit.end) &&
      unit.start < focus.end;
    all.push({ text: empty ? unit.text : text.slice(unit.start, unit.end), unit, focused });
    at = Math.max(unit.end, at);
  }
  plain(at, text.length);
  return all;
}

/** The first `read` tokens' words; of a word that was read in part, that part. */
function wordUnits(
  field: Field,
  f: number,
  text: Utf8Text,
  one: Explanation,
  read: number,
): Unit[] {
  const tokens: number[][] = one.words[f]!.map(() => []);
  for (const [t, token] of field.tokens.slice(0, read).entries()) {
    if (token.word !== null) tokens[token.word]?.push(t);
  }
  const estimates = one.token_error_estimates?.[f];
  const units: Unit[] = [];
  for (const [w, word] of one.words[f]!.entries()) {
    const own = tokens[w]!;
    let stop = word.end;
    if (read < field.tokens.length) {
      if (own.length === 0) continue;
      const reached = Math.max(...own.map((t) => field.tokens[t]!.end));
      stop = Math.min(Math.max(reached, word.start), word.end);
    }
    const [start, end] = text.trim(word.start, stop);
    const error = estimates && own.reduce((sum, t) => sum + Math.abs(estimates[t]!), 0);
    const shown = text.slice(start, end);
    units.push({
      field: f,
      start,
      end,
      text: shown,
      score: word.score,
      error,
      special: false,
      tokens: own,
    });
  }
  return merge(text, units);
}

function tokenUnits(
  field: Field,
  f: number,
  text: Utf8Text,
  one: Explanation,
  read: number,
): Unit[] {
  const estimates = one.token_error_estimates?.[f];
  const units = field.tokens.slice(0, read).map((token, t): Unit => {
    const [start, end] = text.trim(token.start, token.end);
    return {
      field: f,
      start,
      end,
      text: start === end ? token.text : text.slice(start, end),
      score: one.scores[f]![t]!,
      error: estimates && Math.abs(estimates[t]!),
      special: token.special,
      tokens: [t],
    };
  });
  return merge(text, units);
}

/**
 * Makes units that neither overlap nor go backwards. A unit that covers nothing stands behind the
 * one before it, whatever its position says: tokenizers give all special tokens position 0.
 */
function merge(text: Utf8Text, units: Unit[]): Unit[] {
  const merged: Unit[] = [];
  let reached = 0;
  for (const unit of units) {
    if (unit.start === unit.end) {
      merged.push({ ...unit, start: reached, end: reached });
      continue;
    }
    if (unit.start >= reached) {
      reached = unit.end;
      merged.push(unit);
      continue;
    }
    const over = merged.splice(firstOverlap(merged, unit.start));
    const markers = over.filter((other) => other.start === other.end);
    const one = { ...unit };
    for (const other of over.filter((other) => other.start < other.end)) {
      one.start = Math.min(one.start, other.start);
      one.end = Math.max(one.end, other.end);
      one.score += other.score;
      one.error =
        one.error === undefined || other.error === undefined ? undefined : one.error + other.error;
      one.special &&= other.special;
      one.tokens = [...other.tokens, ...one.tokens];
    }
    // A merged unit reads as the place it covers.
    one.text = text.slice(one.start, one.end);
    reached = one.end;
    merged.push(one, ...markers.map((m) => ({ ...m, start: reached, end: reached })));
  }
  return merged;
}

/** Finds where the units begin that end behind `start`, looking back from the last. */
function firstOverlap(units: Unit[], start: number): number {
  let first = units.length;
  for (let i = units.length - 1; i >= 0; i--) {
    const unit = units[i]!;
    if (unit.start === unit.end) continue;
    if (unit.end <= start) break;
    first = i;
  }
  return first;
}
