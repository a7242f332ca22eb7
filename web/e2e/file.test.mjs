// Pages that `--format html` writes, opened from disk.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { axe, faults, launch, open, program, root } from './support.mjs';

let browser;
const folder = mkdtempSync(join(tmpdir(), 'glossator-'));

before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

/** Writes a page with the program, and returns its address. */
function write(name, args) {
  const path = join(folder, name);
  try {
    execFileSync(program, [...args, '--format', 'html', '--output', path], {
      cwd: root,
      stdio: 'pipe',
    });
  } catch (error) {
    // An attack that finds nothing is an answer too.
    if (error.status !== 1) throw new Error(String(error.stderr));
  }
  return pathToFileURL(path).href;
}

const PAGES = [
  [
    'explained.html',
    ['explain', 'a touching , funny and wise film', 'a <b>dull</b> & "long" film'],
  ],
  ['attacked.html', ['attack', 'hotflip', 'a touching , funny and wise film']],
  ['reduced.html', ['attack', 'input-reduction', 'a touching , funny and wise film']],
  [
    'pair.html',
    ['explain', '--model', 'models/nli-en', '--pair', 'Some men play.', 'Males play soccer.'],
  ],
];

for (const [name, args] of PAGES) {
  test(`${name} is alive from disk, in light and dark`, async () => {
    const url = write(name, args);
    for (const colorScheme of ['light', 'dark']) {
      const view = await open(browser, url, { colorScheme });
      const { page } = view;
      await page.locator('glossator-report prediction-bars').first().waitFor();
      const reports = await page.locator('glossator-report').count();
      assert.equal(reports, name === 'explained.html' ? 2 : 1);
      assert.equal(await page.locator('glossator-report > article').first().isVisible(), false);
      assert.deepEqual(await axe(page), []);
      assert.deepEqual(await faults(view), []);
      await view.close();
    }
  });

  test(`${name} is readable without scripts`, async () => {
    const { page, close } = await open(browser, write(name, args), { javaScriptEnabled: false });
    assert.equal(await page.locator('glossator-report > article').first().isVisible(), true);
    assert.ok((await page.locator('glossator-report > article h2').first().innerText()).length > 0);
    await close();
  });
}

test('a long text stays quick', async () => {
  const words = Array.from({ length: 2000 }, (_, i) => (i % 7 === 0 ? 'touching' : 'word'));
  const url = write('long.html', [
    'explain',
    '--truncate',
    '--method',
    'gradient',
    words.join(' '),
  ]);
  const began = performance.now();
  const { page, close } = await open(browser, url);
  await page.locator('glossator-report token-heatmap .w').first().waitFor();
  assert.ok(performance.now() - began < 5000);
  await page.locator('glossator-report token-heatmap [role="listbox"]').focus();
  const moved = await page.evaluate(async () => {
    const map = document
      .querySelector('glossator-report')
      .shadowRoot.querySelector('token-heatmap');
    const text = map.shadowRoot.querySelector('[role="listbox"]');
    const start = performance.now();
    for (let i = 0; i < 20; i++) {
      text.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));
      await map.updateComplete;
    }
    return (performance.now() - start) / 20;
  });
  console.log(`moving by one word of a long text: ${moved.toFixed(1)} ms`);
  assert.ok(moved < 100, `${moved} ms`);
  await close();
});
