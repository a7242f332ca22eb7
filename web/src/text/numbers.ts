// How numbers are written for people: only as many digits as mean something.

/** How to write scores that stand together: all with the same digits, so that they line up. */
export class Digits {
  private constructor(
    private readonly decimals: number,
    private readonly exponent: boolean,
  ) {}

  /** Shows three digits of the largest of the scores. */
  static of(largest: number): Digits {
    if (largest === 0 || !Number.isFinite(largest)) return new Digits(2, false);
    const places = magnitude(largest);
    const exponent = places < -4 || places > 5;
    return new Digits(exponent ? 2 : Math.max(2 - places, 0), exponent);
  }

  /** Shows one digit less. */
  shorter(): Digits {
    return new Digits(Math.max(this.decimals - 1, 0), this.exponent);
  }

  /** Writes a score with its sign; exactly zero has none. */
  signed(score: number): string {
    if (score === 0) return (0).toFixed(this.decimals);
    const sign = score > 0 ? '+' : '';
    return (
      sign + (this.exponent ? exponential(score, this.decimals) : score.toFixed(this.decimals))
    );
  }

  /** Writes a score that has no sign. */
  unsigned(score: number): string {
    return this.signed(score).replace(/^\+/, '');
  }
}

/** Writes a quantity by itself with four digits. */
export function amount(value: number): string {
  return significant(value, 4);
}

/** Writes an error with two digits; nobody knows an error better. */
export function error(value: number): string {
  return significant(value, 2);
}

/** Writes a number with its sign, if it is not zero. */
export function withSign(value: number, written: string): string {
  return value > 0 ? `+${written}` : written;
}

/** Writes a share of 1 as a percentage. Nothing is rounded up to certain or down to impossible. */
export function percent(share: number): string {
  const percent = share * 100;
  if (percent < 0.05 && percent > 0) return '<0.1%';
  if (percent > 99.95 && percent < 100) return '>99.9%';
  return `${percent.toFixed(1)}%`;
}

/** `1 edit`, `2 edits`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return n === 1 ? `1 ${one}` : `${n} ${many}`;
}

/** A minus as wide as a plus, for numbers that people read. */
export function typeset(number: string): string {
  return number.replace(/-/g, '−');
}

function significant(value: number, digits: number): string {
  if (value === 0) return '0';
  const places = magnitude(value);
  if (places < -4 || places > 6) return exponential(value, Math.max(digits - 2, 0));
  return value.toFixed(Math.max(digits - 1 - places, 0));
}

function exponential(value: number, decimals: number): string {
  return value.toExponential(decimals).replace('e+', 'e');
}

/** The power of ten of the first digit. */
function magnitude(value: number): number {
  return Math.floor(Math.log10(Math.abs(value)));
}
