// The page against the real server.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axe, explained, faults, launch, link, open, serve, textOf } from './support.mjs';

let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([launch(), serve()]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Slow on purpose: a long text, and a fixed rule with as many steps as the server allows. */
const SLOW = {
  text: 'a touching , funny and wise film . '.repeat(20),
  methods: 'integrated-gradients',
  's.integrated-gradients.rule': 'gauss-legendre',
  's.integrated-gradients.steps': '5000',
};

test('the first explanation is there within two seconds of a cold start', async () => {
  // The best of some: what else this machine does meanwhile only makes it slower.
  const times = [];
  while (times.length < 5 && !(Math.min(...times) < 2000)) {
    const own = await serve();
    const { page, close } = await open(browser, 'about:blank');
    const began = performance.now();
    await page.goto(own.url);
    await explained(page);
    times.push(performance.now() - began);
    await close();
    await own.stop();
  }
  console.log(`first explanation after ${times.map((time) => time.toFixed(0)).join(', ')} ms`);
  assert.ok(Math.min(...times) < 2000, `${times} ms`);
});

test('the page breaks no policy and asks no other host, in any tab', async () => {
  const view = await open(browser, server.url);
  const { page } = view;
  await explained(page);
  await page.getByRole('tab', { name: 'How it breaks' }).click();
  await page.getByRole('button', { name: 'Attack', exact: true }).click();
  await page.locator('edit-list .text').waitFor();
  await page.getByRole('tab', { name: 'Attention' }).click();
  await page.locator('attention-matrix:not([thumbnail]) .frame').waitFor();
  await page.getByRole('tab', { name: 'Side by side' }).click();
  await page.locator('compare-panel token-heatmap .w').first().waitFor();
  assert.deepEqual(await faults(view), []);
  await view.close();
});

test('axe finds nothing, in light and dark, wide and narrow', async () => {
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [360, 1280]) {
      const { page, close } = await open(browser, server.url, {
        colorScheme,
        viewport: { width, height: 900 },
      });
      await explained(page);
      for (const tab of ['Why', 'How it breaks', 'Attention', 'Side by side']) {
        await page.getByRole('tab', { name: tab }).click();
        if (tab === 'How it breaks') {
          await page.getByRole('button', { name: 'Attack', exact: true }).click();
          await page.locator('edit-list .text').waitFor();
        }
        if (tab === 'Attention')
          await page.locator('attention-matrix:not([thumbnail]) .frame').waitFor();
        if (tab === 'Side by side')
          await page.locator('compare-panel token-heatmap .w').nth(1).waitFor();
        for (const summary of await page.locator('summary').all()) {
          if (await summary.isVisible()) await summary.click();
        }
        assert.deepEqual(await axe(page), [], `${tab}, ${colorScheme}, ${width}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${tab} at ${width}: ${wide} px too wide`);
      }
      await close();
    }
  }
});

test('the keyboard alone reaches everything', async () => {
  const { page, close } = await open(browser, server.url);
  await explained(page);
  const seen = new Set();
  const focused = () =>
    page.evaluate(() => {
      let one = document.activeElement;
      while (one?.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
      if (!one || one === document.body) return null;
      const box = one.getBoundingClientRect();
      return {
        name: one.id || one.name || one.getAttribute('role') || one.textContent.trim().slice(0, 30),
        role: one.getAttribute('role'),
        visible: box.width > 0 && box.height > 0,
        outlined: getComputedStyle(one).outlineStyle !== 'none',
      };
    });
  for (let i = 0; i < 80; i++) {
    await page.keyboard.press('Tab');
    const at = await focused();
    if (!at) break;
    assert.ok(at.visible && at.outlined, JSON.stringify(at));
    seen.add(at.name);
  }
  for (const name of [
    'link',
    'scheme',
    'model',
    'example',
    'text',
    'tab-why',
    'target',
    'versus',
    'quantity',
    'method',
    'by',
    'top',
    'normalise',
    'palette',
    'listbox',
  ]) {
    assert.ok(seen.has(name), `${name} is not among ${[...seen].join(', ')}`);
  }
  // A word's exact score, by arrow keys.
  const map = page.locator('method-comparison token-heatmap').first();
  await map.locator('[role="listbox"]').focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowRight');
  assert.match(await page.locator('method-comparison .readout.on').innerText(), /touching/);
  assert.equal(await page.locator('method-comparison token-heatmap .active').count(), 3);
  // Another tab, by arrow keys.
  await page.locator('#tab-why').focus();
  await page.keyboard.press('ArrowRight');
  await page.locator('#run-attack').waitFor();
  await close();
});

test('an attack is run, and its edits appear', async () => {
  const { page, close } = await open(
    browser,
    link(server.url, { tab: 'attack', attack: 'hotflip' }),
  );
  await page.locator('#attack-target').selectOption('negative');
  await page.getByRole('button', { name: 'Attack', exact: true }).click();
  await page.locator('edit-list del').first().waitFor();
  assert.match(await page.locator('edit-list .verdict').innerText(), /flipped by \d+ edit/);
  assert.match(await textOf(page.locator('edit-list .now')), /negative \d/);
  assert.match(page.url(), /attacked=true/);
  await page.getByText('Input reduction', { exact: true }).click();
  await page.getByRole('button', { name: 'Attack', exact: true }).click();
  await page.locator('reduction-view .left').waitFor();
  await close();
});

test('a slow explanation shows its progress and can be cancelled', async () => {
  const { page, close } = await open(browser, link(server.url, SLOW));
  const progress = page.locator('why-panel .progress');
  await page.waitForFunction(() =>
    /[1-9]\d* evaluations/.test(document.querySelector('why-panel .progress')?.textContent ?? ''),
  );
  await progress.getByRole('button', { name: /Cancel/ }).click();
  await page.getByText('integrated-gradients: cancelled').waitFor();
  // The server does not go on with it: the next explanation does not wait behind it.
  const began = performance.now();
  await page.getByText('Gradient', { exact: true }).click();
  await explained(page);
  assert.ok(performance.now() - began < 5000);
  await close();
});

test('a late answer does not replace a newer one', async () => {
  const { page, close } = await open(browser, server.url);
  await explained(page);
  let held;
  await page.route('**/v1/predict', async (route) => {
    if (!held) {
      held = route;
      return;
    }
    await route.continue();
  });
  const text = page.locator('textarea[name="text"]');
  await text.fill('a wonderful and wise film');
  await page.waitForRequest('**/v1/predict');
  // Given back by the server only after the answer to the next text.
  const answered = page.waitForResponse('**/v1/predict');
  await text.fill('boring and bad');
  await answered;
  await page.locator('.said prediction-bars h2', { hasText: 'negative' }).waitFor();
  await held.continue().catch(() => undefined);
  await page.waitForTimeout(500);
  assert.match(await page.locator('.said prediction-bars h2').innerText(), /negative/);
  await close();
});

test('a link shows exactly the same view', async () => {
  const one = await open(browser, server.url);
  const { page } = one;
  await explained(page);
  await page.locator('textarea[name="text"]').fill('a beautiful but boring film');
  await page.getByRole('button', { name: 'Explain' }).click();
  await page.locator('#versus').selectOption('positive');
  await page.locator('input[name="method"][value="gradient"]').check();
  await page.locator('input[name="by"][value="token"]').check();
  await page.locator('#palette').selectOption('purple-green');
  await page.locator('#normalise').selectOption('share');
  await page.locator('#scheme').selectOption('dark');
  await page.locator('#top').fill('3');
  await page
    .getByText(/rather than positive|rather than negative/)
    .first()
    .waitFor({ state: 'attached' });
  const settle = async (where) => {
    await where.waitForFunction(
      () => !document.querySelector('.progress') && document.querySelector('method-comparison'),
    );
    return where.locator('method-comparison').evaluate((element) => {
      const maps = [...element.shadowRoot.querySelectorAll('token-heatmap')];
      return maps.map((map) => [
        map.palette,
        ...[...map.shadowRoot.querySelectorAll('.w')].map(
          (w) => `${w.className} ${w.dataset.v} ${w.textContent}`,
        ),
      ]);
    });
  };
  const here = await settle(page);
  const two = await open(browser, page.url());
  await explained(two.page);
  assert.deepEqual(await settle(two.page), here);
  assert.equal(here.length, 4);
  assert.equal(
    await two.page.evaluate(() => getComputedStyle(document.documentElement).colorScheme),
    'dark',
  );
  await one.close();
  await two.close();
});

test('a label that was not predicted is asked for: why not that one?', async () => {
  const { page, close } = await open(browser, link(server.url, { model: 'nli-en' }));
  await explained(page);
  const said = await page.locator('.said prediction-bars h2').innerText();
  await page.locator('.said prediction-bars button').nth(1).click();
  await page.waitForURL(/target=/);
  const target = new URLSearchParams(new URL(page.url()).hash.slice(1)).get('target');
  assert.match(target, /-vs-/);
  assert.ok(said.startsWith(target.split('-vs-')[0]));
  await page.waitForFunction(() => !document.querySelector('.progress'));
  assert.match(await textOf(page.locator('method-comparison')), /difference in logit/);
  await close();
});

test('entities have a map each', async () => {
  const { page, close } = await open(browser, link(server.url, { model: 'ner-en' }));
  await explained(page);
  const decisions = page.locator('.decisions button');
  assert.ok((await decisions.count()) > 1);
  await decisions.nth(1).click();
  assert.match(page.url(), /explanation=1/);
  assert.equal(
    (await page
      .locator('method-comparison token-heatmap')
      .first()
      .locator('.about')
      .first()
      .innerText()) !== '',
    true,
  );
  await close();
});

test('written tokens are a grid', async () => {
  const { page, close } = await open(
    browser,
    link(server.url, { model: 'characters-en', 'o.generate': '6', methods: 'input-x-gradient' }),
  );
  await page.locator('generation-grid tbody tr').nth(5).waitFor();
  await page.locator('generation-grid td[data-r="2"]').first().click();
  assert.match(page.url(), /explanation=2/);
  await close();
});

test('a problem is told with its code and what to do', async () => {
  const { page, close } = await open(
    browser,
    link(server.url, {
      's.integrated-gradients.tolerance': 'much',
      methods: 'integrated-gradients',
    }),
  );
  const problem = page.locator('why-panel .problem');
  await problem.waitFor();
  assert.match(await problem.innerText(), /bad_setting/);
  assert.match(await problem.innerText(), /tolerance/);
  await close();
});

test('results are downloaded as files', async () => {
  const { page, close } = await open(browser, server.url);
  await explained(page);
  for (const [format, begins] of [
    ['svg', '<svg'],
    ['html', '<!doctype html>'],
    ['json', '{"version":1'],
    ['csv', 'input'],
  ]) {
    const coming = page.waitForEvent('download');
    await page.locator(`.files [data-format="${format}"]`).first().click();
    const download = await coming;
    assert.match(download.suggestedFilename(), new RegExp(`\\.${format}$`));
    const chunks = [];
    for await (const chunk of await download.createReadStream()) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    assert.ok(text.includes(begins), `${format}: ${text.slice(0, 80)}`);
  }
  await close();
});

test('text is never markup', async () => {
  const text = '<img src=x onerror="window.ran=1"><script>window.ran=1</script> good';
  const view = await open(browser, link(server.url, { text }));
  await explained(view.page);
  assert.equal(await view.page.evaluate(() => window.ran), undefined);
  assert.match(
    await textOf(view.page.locator('method-comparison token-heatmap').first()),
    /<script>/,
  );
  assert.deepEqual(await faults(view), []);
  await view.close();
});
