// What the end-to-end tests share: the real program with its server, the real browser, and a page that
// remembers what it must not do.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const program = process.env.GLOSSATOR ?? `${root}target/release/glossator`;

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Starts `glossator serve` on a free port; resolves when it says where it listens. */
export async function serve(args = []) {
  const child = spawn(program, ['serve', '--port', '0', ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  const url = await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`the server says nothing: ${said}`)), 30_000);
    const hear = (chunk) => {
      said += chunk;
      const [found] = /http:\/\/[\w.:[\]]+/.exec(said) ?? [];
      if (!found) return;
      clearTimeout(late);
      resolve(found.replace(/\/$/, ''));
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.on('exit', (code) => reject(new Error(`the server ended (${code}): ${said}`)));
    child.on('error', reject);
  });
  return {
    url,
    stop: () =>
      new Promise((resolve) => {
        child.on('exit', resolve);
        child.kill('SIGTERM');
      }),
  };
}

/** The browser, without any of its own requests. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** A page, and what it did wrong: errors, broken policies, requests to anywhere else. */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const wrong = [];
  const home = new URL(url).origin;
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning')
      wrong.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => wrong.push(`error: ${error.message}`));
  page.on('request', (request) => {
    const to = request.url();
    if (!/^(data|blob|file):/.test(to) && new URL(to).origin !== home) wrong.push(`request: ${to}`);
  });
  await page.addInitScript(() => {
    globalThis.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => {
      globalThis.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
    });
  });
  await page.goto(url);
  return { page, wrong, close: () => context.close() };
}

/** Everything that the page did wrong so far. */
export async function faults({ page, wrong }) {
  return [...wrong, ...(await page.evaluate(() => globalThis.violations))];
}

/** What axe-core finds. It is run in the page by the tests' own debugger, which no policy stops. */
export async function axe(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run(document, { resultTypes: ['violations'] }),
  );
  return violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes
        .slice(0, 5)
        .map((node) => `${node.html} ${node.failureSummary}`)
        .join('\n   ')}`,
  );
}

/** Waits until a map has been drawn. */
export async function explained(page) {
  await page.locator('method-comparison token-heatmap .w').first().waitFor();
}

/** A view's address. */
export function link(url, view) {
  return `${url}/#${new URLSearchParams(view)}`;
}
