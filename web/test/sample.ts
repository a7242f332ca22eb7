// Small documents for tests.

import { utf8Length } from '../src/text/bytes';
import type { AttentionDocument } from '../src/wire/http';
import type { AttackDocument, Document, Field, Target, Token } from '../src/wire/types';

export const model = { id: 'test', family: 'bert', task: 'text-classification', sha256: null };

/** A field whose tokens are its words, between two special tokens. */
export function field(name: string, text: string): Field {
  const tokens: Token[] = [{ text: '[CLS]', start: 0, end: 0, word: null, special: true }];
  let word = 0;
  for (const match of text.matchAll(/\S+/g)) {
    const start = utf8Length(text.slice(0, match.index));
    const end = start + utf8Length(match[0]);
    tokens.push({ text: match[0], start, end, word: word++, special: false });
  }
  tokens.push({ text: '[SEP]', start: 0, end: 0, word: null, special: true });
  return { name, text, tokens };
}

export const labels = [
  { label: 'negative', probability: 0.1, logit: -1 },
  { label: 'positive', probability: 0.9, logit: 1.2 },
];

/** An explanation of texts; `score` gets each token's number over all fields. */
export function explained(
  texts: Array<[string, string]>,
  score: (n: number) => number,
  target: Target = { kind: 'label', label: 'positive', quantity: 'logit' },
): Document {
  const fields = texts.map(([name, text]) => field(name, text));
  let n = 0;
  const scores = fields.map((one) => one.tokens.map(() => score(n++)));
  const words = fields.map((one, f) =>
    one.tokens.flatMap((token, t) =>
      token.word === null ? [] : [{ start: token.start, end: token.end, score: scores[f]![t]! }],
    ),
  );
  return {
    version: 1,
    model,
    method: { id: 'integrated-gradients', settings: { steps: 50 } },
    input: { fields },
    prediction: {
      task: 'text-classification',
      kind: 'single-label',
      label: 'positive',
      probability: 0.9,
      labels,
    },
    explanations: [
      {
        target,
        scores,
        words,
        output: 1.2,
        baseline_output: 0.2,
        delta: 0.001,
        error_estimate: null,
        converged: true,
        gradient_evaluations: 50,
      },
    ],
  };
}

/** A language model that wrote the last two words of a text. */
export function writing(): Document {
  const document = explained([['text', 'one two three four']], (n) => n);
  const tokens = document.input.fields[0]!.tokens;
  const next = ['three', 'four'].map((token, id) => {
    const chosen = { token: ` ${token}`, id, probability: 0.5, logit: 1 };
    return { ...chosen, candidates: [chosen] };
  });
  const base = document.explanations[0]!;
  return {
    ...document,
    input: { fields: [{ ...document.input.fields[0]!, tokens: tokens.slice(1, 5) }] },
    prediction: { task: 'causal-lm', next },
    explanations: [2, 3].map((position, i) => ({
      ...base,
      target: { kind: 'token', token: next[i]!.token, position, quantity: 'logit' } as Target,
      scores: [[1, -2, i === 0 ? 0 : 3, 0]],
      words: [
        base.words[0]!.map((word, w) => ({ ...word, score: [1, -2, i === 0 ? 0 : 3, 0][w]! })),
      ],
    })),
  };
}

export function attacked(text: string, from: string, to: string, id = 'hotflip'): AttackDocument {
  const start = utf8Length(text.slice(0, text.indexOf(from)));
  const document = explained([['text', text]], () => 0);
  const after = text.replace(from, () => to);
  return {
    version: 1,
    model,
    attack: { id, settings: {} },
    input: document.input,
    original: document.prediction,
    results: [
      {
        target: { kind: 'label', label: 'positive', quantity: 'logit' },
        success: true,
        stopped: 'found',
        final: { fields: [field('text', after)] },
        edits: [{ field: 0, start, end: start + utf8Length(from), from, to }],
        kept: id === 'input-reduction' ? [[1]] : null,
        prediction: document.prediction,
        forward_passes: 12,
        gradient_evaluations: 1,
        certificate: { kind: 'minimal', size: 1, evaluated: 3, set: 'ten replacements' },
        others: [[after]],
        notes: ['a note'],
      },
    ],
  };
}

export function attention(texts: string[]): AttentionDocument {
  const fields = texts.map((text, i) => field(`field ${i}`, text));
  const n = fields.reduce((sum, one) => sum + one.tokens.length, 0);
  const square = (seed: number) =>
    Array.from({ length: n }, (_, q) =>
      Array.from({ length: n }, (_, k) => ((q * 7 + k * 3 + seed) % 10) / 45),
    );
  return {
    version: 1,
    model,
    input: { fields },
    layers: 2,
    heads: 2,
    queries: Array.from({ length: n }, (_, i) => i),
    attention: [0, 1].map((l) => [0, 1].map((h) => square(l + 2 * h))),
    rollout: square(5),
  };
}
