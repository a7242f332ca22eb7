// Two bundles with fixed names: the elements by themselves, and the page. scripts/build.mjs runs both.

import { defineConfig } from 'vite';

const ENTRIES: Record<string, string> = {
  elements: 'src/elements/index.ts',
  app: 'src/app/main.ts',
};

export default defineConfig(({ mode }) => {
  const name = ENTRIES[mode] ? mode : 'elements';
  return {
    publicDir: false,
    define: { 'process.env.NODE_ENV': '"production"' },
    build: {
      target: 'es2022',
      emptyOutDir: false,
      modulePreload: { polyfill: false },
      rollupOptions: {
        input: { [name]: ENTRIES[name]! },
        preserveEntrySignatures: 'exports-only',
        output: { entryFileNames: '[name].js', assetFileNames: '[name][extname]' },
      },
    },
    test: { environment: 'jsdom', include: ['test/**/*.test.ts'] },
  };
});
