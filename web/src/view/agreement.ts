// How far methods agree about the order of the words.

import type { Unit } from './units';

/** Spearman's rank correlation, ties by their mean rank; undefined without any variation. */
export function spearman(a: number[], b: number[]): number | undefined {
  if (a.length !== b.length || a.length < 2) return undefined;
  return pearson(ranks(a), ranks(b));
}

function pearson(a: number[], b: number[]): number | undefined {
  const mean = (list: number[]) => list.reduce((sum, v) => sum + v, 0) / list.length;
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [da, db] = [a[i]! - ma, b[i]! - mb];
    ab += da * db;
    aa += da * da;
    bb += db * db;
  }
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : undefined;
}

function ranks(list: number[]): number[] {
  const order = list.map((_, i) => i).sort((a, b) => list[a]! - list[b]!);
  const out = new Array<number>(list.length).fill(0);
  for (let i = 0; i < order.length; ) {
    let end = i;
    while (end + 1 < order.length && list[order[end + 1]!] === list[order[i]!]) end++;
    for (let j = i; j <= end; j++) out[order[j]!] = (i + end) / 2;
    i = end + 1;
  }
  return out;
}

/** Finds the unit at the same place of another explanation. */
export function sameUnit(units: Unit[], unit: Unit, index: number): Unit | undefined {
  const same = (one: Unit | undefined) =>
    one !== undefined &&
    one.field === unit.field &&
    one.start === unit.start &&
    one.end === unit.end;
  if (same(units[index])) return units[index];
  return units.find(same);
}
