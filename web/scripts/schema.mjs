// Writes schema/*.json with the program: what it sends and takes, as JSON Schema.
//
// node scripts/schema.mjs ../target/release/glossator

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const program = resolve(process.argv[2] ?? '../target/release/glossator');

function write(name, value) {
  const path = fileURLToPath(new URL(`../schema/${name}.json`, import.meta.url));
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}

function schema(...args) {
  return JSON.parse(execFileSync(program, ['schema', ...args], { encoding: 'utf8' }));
}

write('explain', schema());
write('attack', schema('attack'));
// Of the OpenAPI document only the types: its routes are no matter of the front end.
write('http', { components: { schemas: schema('http').components.schemas } });
