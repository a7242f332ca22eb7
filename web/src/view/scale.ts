// One scale for all scores of an explanation: how strong, which sign, how many digits.

import { step } from '../palette';
import { Digits, typeset } from '../text/numbers';
import type { Explanation, Input } from '../wire/types';
import type { FieldUnits, ViewOptions } from './units';

/**
 * What numbers are shown: `raw` as the method gave them; `share` of the sum of all absolute scores;
 * `strongest` as a part of the strongest. Colours always say the part of the strongest.
 */
export type Normalise = 'raw' | 'share' | 'strongest';

/** What scores are measured by, over all fields together. */
export class Scale {
  private readonly digits: Digits;
  private readonly divisor: number;

  constructor(
    /** The largest absolute score, which has the full colour. */
    readonly max: number,
    /** Whether scores have a sign. */
    readonly signed: boolean,
    divisor = 1,
  ) {
    this.divisor = divisor > 0 ? divisor : 1;
    this.digits = Digits.of(max / this.divisor);
  }

  static of(
    input: Input,
    one: Explanation,
    fields: FieldUnits[],
    options: ViewOptions = {},
  ): Scale {
    let max = 0;
    for (const field of fields) {
      for (const unit of field.units) max = Math.max(max, Math.abs(unit.score));
    }
    let sum = 0;
    let negative = false;
    for (const [f, field] of input.fields.entries()) {
      for (const [t, token] of field.tokens.entries()) {
        const score = one.scores[f]![t]!;
        if (token.special) max = Math.max(max, Math.abs(score));
        sum += Math.abs(score);
        negative ||= score < 0;
      }
    }
    const divisors = { raw: 1, share: sum, strongest: max };
    // A sign that is there is shown, whatever the method promised.
    const signed = negative || !one.magnitudes;
    return new Scale(options.max ?? max, signed, divisors[options.normalise ?? 'raw']);
  }

  /** The score's part of the strongest one, -1 to 1; 0 when all are 0. */
  share(score: number): number {
    return this.max > 0 ? Math.min(Math.max(score / this.max, -1), 1) : 0;
  }

  /** The class of a score's shade: p raises, n lowers, s has no sign; empty for nearly nothing. */
  shade(score: number): string {
    const at = step(this.share(score));
    if (at === 0) return '';
    return `${this.signed ? (score < 0 ? 'n' : 'p') : 's'}${at}`;
  }

  /** Writes a score, with a sign where scores have one. */
  number(score: number): string {
    const value = score / this.divisor;
    return typeset(this.signed ? this.digits.signed(value) : this.digits.unsigned(value));
  }

  /** Writes a score as short as it makes sense below a word: `+.81`. */
  short(score: number): string {
    const text = this.digits.shorter().signed(score / this.divisor);
    const shown = this.signed ? text : text.replace(/^\+/, '');
    return typeset(shown.replace(/^([+-]?)0\./, '$1.'));
  }

  /** Writes a number without a sign, such as an error, with the digits of the scores. */
  bare(number: number): string {
    return typeset(this.digits.unsigned(number / this.divisor));
  }
}
