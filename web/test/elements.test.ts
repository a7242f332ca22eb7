import type { LitElement } from 'lit';
import { afterEach, describe, expect, it } from 'vitest';
import '../src/elements/index';
import type { TokenDetail } from '../src/elements/base';
import { attacked, attention, explained, writing } from './sample';

async function shown(name: string, properties: Record<string, unknown>): Promise<LitElement> {
  const element = document.createElement(name) as LitElement;
  Object.assign(element, properties);
  document.body.append(element);
  await element.updateComplete;
  return element;
}

const root = (element: Element) => element.shadowRoot!;
const words = (element: Element) => [...root(element).querySelectorAll<HTMLElement>('.w')];

afterEach(() => document.body.replaceChildren());

describe('<token-heatmap>', () => {
  const film = () => explained([['text', 'a touching film']], (n) => [0, 0, 2.4, -1.1, 0.2][n]!);

  it('shades, marks the sign, and numbers', async () => {
    const map = await shown('token-heatmap', { data: film() });
    const [, touching, bad] = words(map);
    expect(touching!.className).toBe('w p10 raises');
    expect(touching!.dataset.v).toBe('+2.4');
    expect(bad!.className).toBe('w n5 lowers');
    expect(bad!.getAttribute('aria-label')).toBe('film, −1.10');
    expect(root(map).querySelector('.text')!.textContent).toBe('a touching film');
    expect(root(map).querySelector('.legend')!.textContent).toContain(
      'orange, solid line raises the logit (positive)',
    );
  });

  it('shows tokens with special ones', async () => {
    const map = await shown('token-heatmap', { data: film(), by: 'token' });
    expect(words(map)).toHaveLength(5);
    expect(words(map)[0]!.className).toContain('special none');
  });

  it('colours only the strongest', async () => {
    const map = await shown('token-heatmap', { data: film(), top: 1 });
    expect(words(map).map((word) => /[pn]\d/.test(word.className))).toEqual([false, true, false]);
  });

  it('goes by keyboard and tells the exact scores', async () => {
    const map = await shown('token-heatmap', { data: film() });
    const said: Array<[string, TokenDetail]> = [];
    for (const type of ['token-focus', 'token-select']) {
      document.body.addEventListener(
        type,
        (event) => said.push([type, (event as CustomEvent<TokenDetail>).detail]),
        { once: false },
      );
    }
    const text = root(map).querySelector<HTMLElement>('[role="listbox"]')!;
    text.focus();
    text.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));
    text.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
    await map.updateComplete;
    expect(said.map(([type, detail]) => [type, detail.text])).toEqual([
      ['token-focus', 'a'],
      ['token-focus', 'touching'],
      ['token-select', 'touching'],
    ]);
    expect(said[2]![1]).toEqual({
      field: 0,
      tokens: [2],
      start: 2,
      end: 10,
      text: 'touching',
      score: 2.4,
      error: null,
    });
    expect(text.getAttribute('aria-activedescendant')).toBe('u0-1');
    expect(words(map)[1]!.getAttribute('aria-selected')).toBe('true');
    expect(root(map).querySelector('.readout')!.textContent).toContain('2.4 ·');
  });

  it('says aloud what is wrong with the scores', async () => {
    const data = { ...film(), truncated: 3 };
    data.explanations[0]!.converged = false;
    const map = await shown('token-heatmap', { data });
    expect(root(map).querySelector('.alert')!.textContent).toContain('NOT CONVERGED');
    expect(root(map).textContent).toContain('3 tokens did not fit the model');
  });

  it('has every number in a table, made when it is opened', async () => {
    const map = await shown('token-heatmap', { data: film() });
    expect(root(map).querySelector('table')).toBeNull();
    const details = root(map).querySelector('details')!;
    details.open = true;
    details.dispatchEvent(new Event('toggle'));
    await map.updateComplete;
    const rows = [...root(map).querySelectorAll('tbody tr')].map((row) =>
      row.textContent!.replace(/\s+/g, ' ').trim(),
    );
    expect(rows).toEqual([
      'a 0.00',
      'touching +2.40',
      'film −1.10',
      'special tokens +0.20',
      'sum +1.50',
    ]);
  });

  it('takes JSON in a child, also when that comes late or changes', async () => {
    const map = await shown('token-heatmap', {});
    const script = document.createElement('script');
    script.type = 'application/json';
    script.textContent = JSON.stringify(film());
    map.append(script);
    await new Promise((resolve) => setTimeout(resolve));
    await map.updateComplete;
    expect(words(map)).toHaveLength(3);
    script.textContent = '{';
    await new Promise((resolve) => setTimeout(resolve));
    await map.updateComplete;
    expect(root(map).querySelector('[role="alert"]')!.textContent).toContain('not JSON');
  });

  it('refuses what is no explanation', async () => {
    const map = await shown('token-heatmap', { data: attacked('a b', 'a', 'c') });
    expect(root(map).querySelector('[role="alert"]')!.textContent).toContain(
      'expected an explanation',
    );
  });
});

describe('the other elements', () => {
  it('<pair-heatmap> has two texts on one scale', async () => {
    const pair = await shown('pair-heatmap', {
      data: explained(
        [
          ['premise', 'a b'],
          ['hypothesis', 'c'],
        ],
        (n) => (n === 5 ? -4 : 1),
      ),
    });
    expect(root(pair).querySelectorAll('[role="listbox"]')).toHaveLength(2);
    expect(words(pair).map((word) => word.className)).toEqual([
      'w p3 raises',
      'w p3 raises',
      'w n10 lowers',
    ]);
  });

  it('<prediction-bars> emits the label that is chosen', async () => {
    const bars = await shown('prediction-bars', {
      data: explained([['text', 'a']], () => 1),
      selectable: true,
    });
    let label = '';
    bars.addEventListener('label-select', (event) => {
      label = (event as CustomEvent<{ label: string }>).detail.label;
    });
    root(bars).querySelectorAll<HTMLElement>('button')[1]!.click();
    expect(label).toBe('negative');
    expect(root(bars).querySelector('h2')!.textContent).toBe('positive 90.0%');
  });

  it('<edit-list> strikes out and inserts', async () => {
    const list = await shown('edit-list', {
      data: attacked('ein schöner Film', 'schöner', 'übler'),
    });
    const text = root(list).querySelector('.text')!;
    expect(text.querySelector('del')!.textContent).toBe('schöner');
    expect(text.querySelector('ins')!.textContent).toBe('übler');
    expect(root(list).querySelector('.verdict')!.textContent).toContain('flipped by 1 edit');
    expect(root(list).textContent).toContain('proven: no flip');
  });

  it('<reduction-view> keeps what is left', async () => {
    const view = await shown('reduction-view', {
      data: attacked('a good film', 'a good ', '', 'input-reduction'),
    });
    expect(root(view).querySelector('.left')!.textContent).toContain('film');
    expect(root(view).querySelector('b')!.textContent).toBe('film');
  });

  it('<generation-grid> has a cell for each token that was read', async () => {
    const grid = await shown('generation-grid', { data: writing() });
    const cells = [...root(grid).querySelectorAll<HTMLElement>('tbody td')];
    expect(cells.map((cell) => cell.textContent)).toEqual([
      '+1.0',
      '−2.0',
      '',
      '+1.0',
      '−2.0',
      '+3.0',
    ]);
    cells[0]!.focus();
    cells[0]!.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true }));
    await grid.updateComplete;
    expect(root(grid).querySelector('[tabindex="0"][data-r]')!.getAttribute('data-r')).toBe('1');
  });

  it('<attention-matrix> and <attention-arcs> choose heads', async () => {
    for (const name of ['attention-matrix', 'attention-arcs']) {
      const view = await shown(name, { data: attention(['a b']) });
      const [layer, head] = root(view).querySelectorAll('select');
      let detail: unknown;
      view.addEventListener('head-select', (event) => {
        detail = (event as CustomEvent).detail;
      });
      layer!.value = '1';
      layer!.dispatchEvent(new Event('change'));
      head!.value = '0';
      head!.dispatchEvent(new Event('change'));
      expect(detail).toEqual({ layer: 1, head: 0, rollout: false });
      await view.updateComplete;
      expect(root(view).querySelectorAll('path').length).toBeGreaterThan(3);
      root(view)
        .querySelector('.frame')!
        .dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown' }));
      await view.updateComplete;
      expect(root(view).querySelector('#readout')!.textContent).toContain('looks at');
    }
  });

  it('<method-comparison> follows a place through all maps', async () => {
    const one = explained([['text', 'a b c']], (n) => n);
    const two = {
      ...explained([['text', 'a b c']], (n) => -n),
      method: { id: 'occlusion', settings: {} },
    };
    const comparison = await shown('method-comparison', { data: [one, two] });
    const maps = [...root(comparison).querySelectorAll<LitElement>('token-heatmap')];
    await Promise.all(maps.map((map) => map.updateComplete));
    words(maps[0]!)[1]!.dispatchEvent(new Event('pointerover', { bubbles: true, composed: true }));
    await maps[1]!.updateComplete;
    expect(root(maps[1]!).querySelector('.active')!.textContent).toBe('b');
    const details = root(comparison).querySelector('details')!;
    details.open = true;
    details.dispatchEvent(new Event('toggle'));
    await comparison.updateComplete;
    expect(root(comparison).querySelector('.agree')!.textContent).toContain('−1.00');
  });

  it('<glossator-report> shows documents of every kind', async () => {
    const report = await shown('glossator-report', {
      data: [
        explained([['text', 'a']], () => 1),
        explained(
          [
            ['premise', 'a'],
            ['hypothesis', 'b'],
          ],
          () => 1,
        ),
        writing(),
        attacked('a b', 'a', 'c'),
        attacked('a b', 'a ', '', 'input-reduction'),
        attention(['a']),
      ],
    });
    const inside = [
      'token-heatmap',
      'pair-heatmap',
      'generation-grid',
      'edit-list',
      'reduction-view',
      'attention-matrix',
    ];
    for (const name of inside) expect(root(report).querySelector(name), name).not.toBeNull();
    expect(root(report).querySelectorAll('article')).toHaveLength(6);
  });
});
