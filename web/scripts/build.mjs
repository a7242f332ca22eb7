// Builds both bundles into dist, or into the folder that is given, and writes what they were built
// from: `dist/sources.sha256` tells without Node whether the bundle is current.

import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));
/** What a bundle is made of: one that is read here must be named in xtask/src/web.rs too. */
const SOURCES = [
  'index.html',
  'package-lock.json',
  'package.json',
  'tsconfig.json',
  'vite.config.ts',
];
const FOLDERS = ['scripts', 'src'];
/** gzip -9, in bytes. */
const LIMIT = 60_000;

/** The hash of all sources: of each, in order, its path, a zero byte, its bytes, a zero byte. */
export function sourcesHash() {
  const files = [...SOURCES];
  for (const folder of FOLDERS) {
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const parent = entry.parentPath.slice(root.length).replaceAll('\\', '/');
      files.push(`${parent}/${entry.name}`);
    }
  }
  const hash = createHash('sha256');
  for (const file of files.sort()) {
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update('\0');
  }
  return hash.digest('hex');
}

async function main(out) {
  mkdirSync(out, { recursive: true });
  for (const file of readdirSync(out)) rmSync(join(out, file), { recursive: true });
  for (const mode of ['elements', 'app']) {
    await build({
      root,
      mode,
      logLevel: 'warn',
      configFile: join(root, 'vite.config.ts'),
      build: { outDir: out },
    });
  }
  for (const name of ['app.js', 'elements.js']) {
    // The minifier writes the tabs of strings as they are; pages that hold the script have none.
    const text = readFileSync(join(out, name), 'utf8').replaceAll('\t', '\\t');
    writeFileSync(join(out, name), text);
  }
  copyFileSync(join(root, 'index.html'), join(out, 'index.html'));
  writeFileSync(join(out, 'sources.sha256'), `${sourcesHash()}\n`);
  const size = (...names) =>
    names.reduce(
      (sum, name) => sum + gzipSync(readFileSync(join(out, name)), { level: 9 }).length,
      0,
    );
  for (const [what, bytes] of [
    ['page', size('index.html', 'app.js', 'app.css')],
    ['elements', size('elements.js')],
  ]) {
    console.log(`${what}: ${(bytes / 1000).toFixed(1)} kB gzip`);
    if (bytes > LIMIT) throw new Error(`${what}: more than ${LIMIT / 1000} kB`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(resolve(process.argv[2] ?? join(root, 'dist')));
}
