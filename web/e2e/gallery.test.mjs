// The gallery: every element with real documents, in every palette.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gallery } from '../scripts/gallery.mjs';
import { axe, faults, launch, open } from './support.mjs';

const ELEMENTS = [
  'token-heatmap',
  'pair-heatmap',
  'prediction-bars',
  'method-comparison',
  'generation-grid',
  'edit-list',
  'reduction-view',
  'attention-matrix',
  'attention-arcs',
  'glossator-report',
];

let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([launch(), gallery()]);
});
after(async () => {
  await browser?.close();
  server?.stop();
});

for (const colorScheme of ['light', 'dark']) {
  test(`every element is drawn, in ${colorScheme}`, async () => {
    const view = await open(browser, server.url, { colorScheme });
    const { page } = view;
    await page
      .locator(`section#${ELEMENTS.at(-1)} ~ *, section#${ELEMENTS.at(-1)}`)
      .first()
      .waitFor();
    for (const name of ELEMENTS) {
      const first = page.locator(`section#${name} > ${name}`).first();
      await first.waitFor();
      assert.ok((await first.innerText()).trim().length > 20, name);
      assert.equal(await first.locator('[role="alert"]').count(), 0, name);
    }
    for (const palette of ['blue-orange', 'purple-green', 'grey']) {
      await page.locator('#palette').selectOption(palette);
      assert.deepEqual(await axe(page), [], palette);
    }
    await page.locator('token-heatmap .w').first().hover();
    assert.match(await page.locator('#events').innerText(), /^token-focus \{"field":0/);
    assert.deepEqual(await faults(view), []);
    await view.close();
  });
}

test('a sign is seen without colour', async () => {
  const { page, close } = await open(browser, server.url);
  await page.locator('section#token-heatmap token-heatmap .raises').first().waitFor();
  const lines = await page
    .locator('section#token-heatmap token-heatmap')
    .first()
    .evaluate((map) => {
      const style = (selector) =>
        getComputedStyle(map.shadowRoot.querySelector(selector)).textDecorationStyle;
      return [style('.w.raises'), style('.w.lowers')];
    });
  assert.deepEqual(lines, ['solid', 'dotted']);
  await close();
});
