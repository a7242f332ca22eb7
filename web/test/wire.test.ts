// @vitest-environment node

import { readdirSync, readFileSync } from 'node:fs';
import Ajv2020 from 'ajv/dist/2020';
import { describe, expect, it } from 'vitest';
// @ts-expect-error a script without types
import { current } from '../scripts/types.mjs';
import { documentsOf, isAttack, isExplained } from '../src/wire/parse';
import { attacked, attention, explained, writing } from './sample';

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');

function validator(name: string) {
  const ajv = new Ajv2020({ allErrors: true, strict: false });
  for (const format of ['uint', 'uint8', 'uint32', 'uint64', 'double', 'float', 'int32', 'int64'])
    ajv.addFormat(format, true);
  return ajv.compile(JSON.parse(read(`../schema/${name}.json`)));
}

describe('the wire format', () => {
  it('has the types that its schema says', () => {
    expect(read('../src/wire/types.ts')).toBe(current());
  });

  it('is what the samples of these tests are', () => {
    const [explain, attack] = [validator('explain'), validator('attack')];
    for (const document of [
      explained(
        [
          ['text', 'a b'],
          ['pair', '电影'],
        ],
        (n) => n,
      ),
      writing(),
    ]) {
      expect(explain(document), JSON.stringify(explain.errors)).toBe(true);
    }
    for (const document of [
      attacked('a b', 'a', 'c'),
      attacked('a b', 'a ', '', 'input-reduction'),
    ]) {
      expect(attack(document), JSON.stringify(attack.errors)).toBe(true);
    }
    expect(explain({ ...explained([['text', 'a']], () => 0), version: 2 })).toBe(false);
  });

  it('is what the documents of the gallery are', () => {
    const [explain, attack] = [validator('explain'), validator('attack')];
    const folder = new URL('../gallery/documents/', import.meta.url);
    const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
    expect(files.length).toBeGreaterThan(8);
    for (const file of files) {
      for (const one of documentsOf(read(`../gallery/documents/${file}`))) {
        if (isExplained(one))
          expect(explain(one), `${file} ${JSON.stringify(explain.errors)}`).toBe(true);
        else if (isAttack(one))
          expect(attack(one), `${file} ${JSON.stringify(attack.errors)}`).toBe(true);
        else expect('attention' in one || 'summary' in one || 'trigger' in one, file).toBe(true);
      }
    }
  });
});

describe('documents from elsewhere', () => {
  const good = explained([['text', 'a b']], (n) => n);

  it('come as objects, lists, JSON and JSON Lines', () => {
    expect(documentsOf(undefined)).toEqual([]);
    expect(documentsOf(good)).toEqual([good]);
    expect(documentsOf(JSON.stringify([good, good]))).toHaveLength(2);
    expect(documentsOf(`${JSON.stringify(good)}\n\n${JSON.stringify(good)}\n`)).toHaveLength(2);
    expect(documentsOf(attention(['a b']))).toHaveLength(1);
  });

  it('are refused with their place', () => {
    const broken = (change: (document: typeof good) => void) => {
      const copy = structuredClone(good);
      change(copy);
      return () => documentsOf(copy);
    };
    expect(
      broken((d) => {
        d.version = 7 as 1;
      }),
    ).toThrow('version: expected 1, got 7');
    expect(
      broken((d) => {
        d.explanations[0]!.scores[0]!.pop();
      }),
    ).toThrow('explanations[0].scores[0]: expected 4 entries, got 3');
    expect(
      broken((d) => {
        d.explanations[0]!.scores = [];
      }),
    ).toThrow('explanations[0].scores');
    expect(
      broken((d) => {
        (d.input as { fields: unknown }).fields = 3;
      }),
    ).toThrow('input.fields: expected a list');
    expect(() => documentsOf('{')).toThrow('not JSON');
    expect(() => documentsOf(`${JSON.stringify(good)}\n{`)).toThrow('line 2: not JSON');
    expect(() => documentsOf(7)).toThrow('expected an object');
    expect(() => documentsOf({ version: 1 })).toThrow('neither');
    const crooked = attention(['a b']);
    crooked.attention[1]![0]![2]!.pop();
    expect(() => documentsOf(crooked)).toThrow('attention[1][0][2]');
  });
});
