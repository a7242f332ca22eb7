import { describe, expect, it } from 'vitest';
import { sameUnit, spearman } from '../src/view/agreement';
import { parts } from '../src/view/diff';
import { gridOf, strongestColumns } from '../src/view/grid';
import { groups, headline, holding } from '../src/view/prediction';
import * as say from '../src/view/summary';
import { pieces, strongestFirst, unitCount, viewOf } from '../src/view/units';
import { proof, verdict } from '../src/view/verdict';
import type { Document, Token } from '../src/wire/types';
import { attacked, explained, writing } from './sample';

function drawn(document: Document, by: 'word' | 'token'): string {
  const view = viewOf(document, document.explanations[0]!, { by });
  const rest = view.rest ? ` rest ${view.rest.score} ${view.rest.name}` : '';
  return (
    view.fields
      .flatMap(pieces)
      .map((piece) =>
        piece.unit ? `<${piece.text} ${view.scale.share(piece.unit.score)}>` : piece.text,
      )
      .join('') + rest
  );
}

function withTokens(
  text: string,
  tokens: Token[],
  scores: number[],
  words: Array<[number, number]>,
): Document {
  const document = explained([['text', text]], () => 0);
  const sums = words.map((_, w) =>
    tokens.reduce((sum, token, t) => sum + (token.word === w ? scores[t]! : 0), 0),
  );
  document.input.fields[0]!.tokens = tokens;
  document.explanations[0]!.scores = [scores];
  document.explanations[0]!.words = [
    words.map(([start, end], w) => ({ start, end, score: sums[w]! })),
  ];
  return document;
}

const at = (text: string, start: number, end: number, word: number | null): Token => ({
  text,
  start,
  end,
  word,
  special: word === null,
});

describe('units', () => {
  it('are words with the sums of their tokens, and special tokens share the scale', () => {
    const tokens = [
      at('[CLS]', 0, 0, null),
      at('a', 0, 1, 0),
      at('##b', 1, 2, 0),
      at('Ġc', 2, 4, 1),
      at('[SEP]', 0, 0, null),
    ];
    const document = withTokens(
      'ab c.',
      tokens,
      [4, 1, 1, -2, 0],
      [
        [0, 2],
        [2, 4],
      ],
    );
    expect(drawn(document, 'token')).toBe('<[CLS] 1><a 0.25><b 0.25> <c -0.5><[SEP] 0>.');
    expect(drawn(document, 'word')).toBe('<ab 0.5> <c -0.5>. rest 4 special tokens');
  });

  it('that overlap are one', () => {
    const tokens = [at('a', 0, 1, 0), at('ä', 1, 4, 1), at('¸', 1, 4, 1), at('x', 0, 1, 0)];
    const document = withTokens(
      'a中',
      tokens,
      [1, 1, 1, 1],
      [
        [0, 1],
        [1, 4],
      ],
    );
    expect(drawn(document, 'token')).toBe('<a中 1>');
    expect(drawn(document, 'word')).toBe('<a 1><中 1>');
  });

  it('leave no text out, whatever it is', () => {
    for (const text of ['', ' ', 'a', '电影 很 感人', 'هذا الفيلم رائع', '👩‍👩‍👧 b  c ']) {
      const document = explained([['text', text]], (n) => n - 2);
      for (const by of ['word', 'token'] as const) {
        const view = viewOf(document, document.explanations[0]!, { by });
        const covered = pieces(view.fields[0]!).filter((p) => !p.unit || p.unit.start < p.unit.end);
        expect(covered.map((piece) => piece.text).join('')).toBe(text);
      }
    }
  });

  it('mark what the explanation is about', () => {
    const target = {
      kind: 'entity',
      label: 'LOC',
      field: 0,
      span: [3, 9],
      quantity: 'logit',
    } as const;
    const document = explained([['text', 'in Berlin today']], (n) => n, {
      ...target,
      span: [3, 9],
    });
    const view = viewOf(document, document.explanations[0]!);
    expect(
      pieces(view.fields[0]!)
        .filter((piece) => piece.focused)
        .map((piece) => piece.text),
    ).toEqual(['Berlin']);
  });

  it('are only those that a language model had read', () => {
    const document = writing();
    const view = viewOf(document, document.explanations[0]!);
    expect(view.fields[0]!.units.map((unit) => unit.text)).toEqual(['one', 'two']);
    expect(unitCount(viewOf(document, document.explanations[1]!))).toBe(3);
  });

  it('come strongest first, with shares and signs', () => {
    const document = explained([['text', 'a b c']], (n) => [0, 1, -4, 2, 0][n]!);
    const view = viewOf(document, document.explanations[0]!);
    expect(strongestFirst(view).map((unit) => unit.text)).toEqual(['b', 'c', 'a']);
    expect(view.scale.shade(-4)).toBe('n10');
    expect(view.scale.shade(2)).toBe('p5');
    expect(view.scale.short(1)).toBe('+1.0');
    expect(view.scale.number(-4)).toBe('−4.00');
    const share = viewOf(document, document.explanations[0]!, { normalise: 'share' });
    expect(share.scale.number(-4)).toBe('−0.571');
    const magnitudes = explained([['text', 'a b']], (n) => n);
    magnitudes.explanations[0]!.magnitudes = true;
    const scale = viewOf(magnitudes, magnitudes.explanations[0]!).scale;
    expect([scale.shade(2), scale.number(2)]).toEqual(['s7', '2.00']);
  });
});

describe('words', () => {
  const document = explained([['text', 'a b']], (n) => n);
  const one = document.explanations[0]!;
  const ask = (target: typeof one.target) =>
    say.question(document.input, document.prediction, target);

  it('ask the question', () => {
    expect(ask(one.target)).toBe('why positive');
    const contrast = { kind: 'contrast', label: 'a', versus: 'b', quantity: 'logit' } as const;
    expect(ask(contrast)).toBe('why a rather than b');
    expect(say.measure(contrast)).toBe('difference in logit');
    const lm = writing();
    expect(say.question(lm.input, lm.prediction, lm.explanations[1]!.target)).toBe(
      'why “four” (token 2 of 2)',
    );
  });

  it('tell figures, warnings and what was cut off', () => {
    const view = viewOf(document, one);
    expect(say.figures(view)).toEqual([
      'F(x) 1.200',
      'F(baseline) 0.2000',
      'sum +6.000',
      'completeness error +0.0010 (0.1%)',
      '50 gradient evaluations',
      'special tokens +3.00',
    ]);
    expect(say.warning(one)).toBeUndefined();
    expect(say.warning({ ...one, converged: false })).toContain(
      'completeness error is +0.0010 (0.1%)',
    );
    expect(say.notes({ ...document, truncated: 3 }, { ...one, notes: ['known'] })).toEqual([
      'known',
      '3 tokens did not fit the model and were not read',
    ]);
  });

  it('tell what the model said', () => {
    expect(headline(document.prediction, document.input)).toBe('positive 90.0%');
    expect(groups(document.prediction)[0]!.answers.map((a) => a.label)).toEqual([
      'positive',
      'negative',
    ]);
    expect(headline(writing().prediction, writing().input)).toBe('“one two three four”');
    const none = { task: 'token-classification', entities: [] } as const;
    expect(headline({ ...none, entities: [] }, document.input)).toBe('no entities');
    expect(holding(document.prediction).answers).toHaveLength(1);
  });
});

describe('attacks', () => {
  it('split a text at its edits, by bytes', () => {
    const { input, results } = attacked('ein schöner Film', 'schöner', 'übler');
    const all = parts(0, input.fields[0]!.text, results[0]!.edits);
    expect(all.map((part) => `${part.kind} ${part.text}`)).toEqual([
      'same ein ',
      'gone schöner',
      'new übler',
      'same  Film',
    ]);
    const inserted = [{ field: 0, start: 1, end: 1, from: '', to: ' old' }];
    expect(parts(0, 'a film', inserted).map((part) => part.text)).toEqual([
      'a',
      ' ',
      'old',
      ' film',
    ]);
  });

  it('have a verdict', () => {
    const document = attacked('a good film', 'good', 'bad');
    expect(verdict(document, document.results[0]!)).toEqual([
      'flipped',
      'by 1 edit; 12 forward passes, 1 gradient',
    ]);
    expect(proof(document, document.results[0]!.certificate!)).toBe(
      'proven: no flip of less than 1 edit among ten replacements (3 texts tried)',
    );
    const reduced = attacked('a good film', 'a good ', '', 'input-reduction');
    expect(verdict(reduced, reduced.results[0]!)[1]).toContain('to 1 of 3 tokens');
    expect(
      verdict(reduced, { ...reduced.results[0]!, success: false, stopped: 'spent' })[1],
    ).toContain('a limit');
  });
});

describe('grids and agreement', () => {
  it('show what was read by what was written', () => {
    const grid = gridOf(writing())!;
    expect(grid.columns.map((column) => column.text)).toEqual(['one', 'two', 'three']);
    expect(grid.rows.map((row) => row.scores)).toEqual([
      [1, -2, undefined],
      [1, -2, 3],
    ]);
    expect(strongestColumns(grid, 2)).toEqual([1, 2]);
    expect(gridOf(explained([['text', 'a']], () => 1))).toBeUndefined();
  });

  it('compare ranks', () => {
    expect(spearman([1, 2, 3], [10, 20, 40])).toBeCloseTo(1);
    expect(spearman([1, 2, 3], [3, 2, 1])).toBeCloseTo(-1);
    expect(spearman([1, 1, 2], [1, 2, 2])).toBeCloseTo(0.5);
    expect(spearman([1, 1], [1, 2])).toBeUndefined();
    const document = explained([['text', 'a b']], (n) => n);
    const units = viewOf(document, document.explanations[0]!).fields[0]!.units;
    expect(sameUnit(units, units[1]!, 0)).toBe(units[1]);
  });
});
