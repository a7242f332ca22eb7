// Text of other people is text: nothing of it becomes an element, in any field of any document.

import type { LitElement } from 'lit';
import { afterEach, expect, it } from 'vitest';
import '../src/elements/index';
import { attacked, attention, explained, writing } from './sample';

const EVIL =
  '<script>globalThis.ran=1</script><img src=x onerror="globalThis.ran=1"></script><b>"\'&';

/** Puts the evil text into every string that is no tag of the format. */
function poison<T>(value: T, key = ''): T {
  const tags = ['kind', 'task', 'quantity', 'stopped'];
  if (typeof value === 'string')
    return (
      tags.includes(key) || key === 'text' || key === 'from' || key === 'to' ? value : EVIL
    ) as T;
  if (Array.isArray(value)) return value.map((one) => poison(one, key)) as T;
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, poison(one, name)]),
  ) as T;
}

const document1 = poison(
  explained(
    [
      ['text', EVIL],
      ['pair', EVIL],
    ],
    (n) => n - 3,
  ),
);
document1.explanations[0]!.notes = [EVIL];
document1.method.settings = { [EVIL]: EVIL };
const writes = poison(writing());
writes.input.fields[0]!.tokens.forEach((token) => {
  token.text = EVIL;
});
const edits = poison(attacked(`before ${EVIL}`, EVIL, `${EVIL}${EVIL}`));
const reduction = poison(attacked(`before ${EVIL}`, EVIL, '', 'input-reduction'));
reduction.attack.id = 'input-reduction';

const CASES: Array<[string, unknown]> = [
  ['token-heatmap', document1],
  ['pair-heatmap', document1],
  ['prediction-bars', document1],
  ['method-comparison', [document1, document1]],
  ['generation-grid', writes],
  ['edit-list', edits],
  ['reduction-view', reduction],
  ['attention-matrix', poison(attention([EVIL]))],
  ['attention-arcs', poison(attention([EVIL]))],
  ['glossator-report', [document1, writes, edits, reduction]],
];

/** All elements in a tree, those in shadows included. */
function* deep(node: ParentNode): Generator<Element> {
  for (const element of node.querySelectorAll('*')) {
    yield element;
    if (element.shadowRoot) yield* deep(element.shadowRoot);
  }
}

afterEach(() => document.body.replaceChildren());

it.each(CASES)('<%s> shows scripts as text', async (name, data) => {
  const element = document.createElement(name) as LitElement;
  Object.assign(element, { data, selectable: true });
  document.body.append(element);
  await element.updateComplete;
  for (const details of [...deep(document.body)].filter((one) => one.localName === 'details')) {
    (details as HTMLDetailsElement).open = true;
    details.dispatchEvent(new Event('toggle'));
  }
  await new Promise((resolve) => setTimeout(resolve, 10));
  const all = [...deep(document.body)];
  expect(all.length).toBeGreaterThan(5);
  const text = all.map((one) => one.shadowRoot?.textContent ?? '').join('');
  expect(text).toContain('<script>');
  expect(element.shadowRoot!.querySelector('[role="alert"]')).toBeNull();
  for (const one of all) {
    expect(['script', 'img']).not.toContain(one.localName);
    for (const { name: attribute } of one.attributes)
      expect(attribute.startsWith('on')).toBe(false);
    expect(one.hasAttribute('style') && one.getAttribute('style')!.includes('<')).toBe(false);
  }
  expect('ran' in globalThis).toBe(false);
});
