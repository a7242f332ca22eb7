import { describe, expect, it } from 'vitest';
import { Utf8Text, utf8Length } from '../src/text/bytes';
import { amount, Digits, error, percent, withSign } from '../src/text/numbers';
import { label, quote, token, visible, visibleLines } from '../src/text/visible';

describe('bytes of UTF-8', () => {
  it('are cut where Rust would cut', () => {
    const text = 'aé中👩‍👩‍👧 x';
    const encoder = new TextEncoder();
    const bytes = encoder.encode(text);
    const whole = new Utf8Text(text);
    expect(whole.length).toBe(bytes.length);
    let at = 0;
    for (const c of text) {
      const end = at + encoder.encode(c).length;
      expect(whole.slice(at, end)).toBe(c);
      at = end;
    }
    expect(whole.slice(0)).toBe(text);
    expect(utf8Length(text)).toBe(bytes.length);
  });

  it('never cut a character in two', () => {
    const text = new Utf8Text('👩a');
    for (const inside of [1, 2, 3]) expect(text.slice(inside)).toBe('👩a');
    expect(text.slice(4, 99)).toBe('a');
  });

  it('leave out white space around a span, unless there is nothing else', () => {
    const text = new Utf8Text('é wide ');
    expect(text.trim(2, 8)).toEqual([3, 7]);
    expect(text.trim(7, 8)).toEqual([7, 8]);
  });
});

describe('numbers', () => {
  it('that stand together line up', () => {
    const digits = Digits.of(0.8123);
    expect(digits.signed(0.8123)).toBe('+0.812');
    expect(digits.signed(-0.0123)).toBe('-0.012');
    expect(digits.signed(0)).toBe('0.000');
    expect(digits.unsigned(0.8123)).toBe('0.812');
    expect(Digits.of(12.3).signed(12.34)).toBe('+12.3');
    expect(Digits.of(1234.5).signed(1234.4)).toBe('+1234');
    expect(Digits.of(1.5e-9).signed(1.5e-9)).toBe('+1.50e-9');
    expect(Digits.of(Number.MAX_VALUE).signed(Number.MAX_VALUE)).toBe('+1.80e308');
  });

  it('have four digits alone, two as an error', () => {
    expect(amount(3.21456)).toBe('3.215');
    expect(amount(-1234567)).toBe('-1234567');
    expect(amount(0.00012346)).toBe('0.0001235');
    expect(amount(1.2e-7)).toBe('1.20e-7');
    expect(error(0.00131)).toBe('0.0013');
    expect(error(-1.26e-7)).toBe('-1e-7');
    expect(withSign(0.5, amount(0.5))).toBe('+0.5000');
  });

  it('never claim certainty', () => {
    expect(percent(1)).toBe('100.0%');
    expect(percent(0.99999)).toBe('>99.9%');
    expect(percent(0.00001)).toBe('<0.1%');
    expect(percent(0)).toBe('0.0%');
  });
});

describe('foreign text', () => {
  it('is spelled out where it would act', () => {
    const text = 'a\u001b[31m\u0000\u007f\u0085\u202ex\u200b\ufffe';
    expect(visible(text)).toBe('a␛[31m␀␡\\u{85}\\u{202e}x\\u{200b}\\u{fffe}');
  });

  it('keeps joiners and emoji', () => {
    for (const text of ['می\u200cخواهم', '👩‍👩‍👧', '☺\ufe0f', 'e\u0301'])
      expect(visible(text)).toBe(text);
  });

  it('stands alone in a list', () => {
    expect(label('')).toBe('(empty)');
    expect(label('  ')).toBe('␣␣');
    expect(label('\n')).toBe('␊');
    expect(label('\u0301')).toBe('◌\u0301');
    expect(token(' Paris')).toBe('␣Paris');
    expect(token('\n')).toBe('␊');
    expect(quote(' Paris\n is ')).toBe('“Paris is”');
    expect(quote(' ')).toBe('“␣”');
    expect(visibleLines('a\r\nb\tc\u0007')).toBe('a\nb c␇');
  });
});
