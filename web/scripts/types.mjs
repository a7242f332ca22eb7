// Writes src/wire/types.ts from the JSON Schemas that `glossator schema` prints. With --check it
// only says whether the file is what it would write.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const SCHEMAS = ['explain', 'attack', 'http'];
const OUT = here('../src/wire/types.ts');

const HEAD = `// The wire format of Glossator, version 1. Written by scripts/types.mjs from schema/*.json, which
// \`glossator schema\` prints: change the Rust types, not this file.
`;

const pascal = (name) => name.replace(/(^|[-_ ])(\w)/g, (_, _sep, c) => c.toUpperCase());
const key = (name) => (/^[a-z_]\w*$/i.test(name) ? name : JSON.stringify(name));

function comment(text, indent = '') {
  if (!text) return '';
  const lines = text.replace(/\*\//g, '* /').split('\n');
  const body =
    lines.length === 1
      ? ` ${lines[0]} `
      : `\n${lines.map((l) => `${indent} * ${l}`.trimEnd()).join('\n')}\n${indent} `;
  return `${indent}/**${body}*/\n`;
}

/** The type of an object's own properties; undefined where it has none. */
function properties(schema, indent) {
  if (!schema.properties) return undefined;
  const required = new Set(schema.required ?? []);
  const inner = `${indent}  `;
  const lines = Object.entries(schema.properties).map(([name, one]) => {
    const optional = required.has(name) ? '' : '?';
    return `${comment(one.description, inner)}${inner}${key(name)}${optional}: ${type(one, inner)};\n`;
  });
  return `{\n${lines.join('')}${indent}}`;
}

function simple(name, schema, indent) {
  switch (name) {
    case 'string':
      return 'string';
    case 'integer':
    case 'number':
      return 'number';
    case 'boolean':
      return 'boolean';
    case 'null':
      return 'null';
    case 'array':
      if (schema.prefixItems)
        return `[${schema.prefixItems.map((s) => type(s, indent)).join(', ')}]`;
      if (schema.minItems !== undefined && schema.minItems === schema.maxItems) {
        return `[${Array(schema.minItems).fill(type(schema.items, indent)).join(', ')}]`;
      }
      return `Array<${type(schema.items, indent)}>`;
    case 'object': {
      const own = properties(schema, indent);
      if (own) return own;
      const values = schema.additionalProperties;
      return `Record<string, ${values && values !== true ? type(values, indent) : 'unknown'}>`;
    }
    default:
      throw new Error(`a type that is not known: ${name}`);
  }
}

function type(schema, indent = '') {
  if (schema === true) return 'unknown';
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(' | ');
  const union = schema.oneOf ?? schema.anyOf;
  if (union) {
    const parts = union.map((one) => type(one, indent));
    return parts.length === 1 ? parts[0] : parts.map((part) => `\n${indent}  | ${part}`).join('');
  }
  const parts = [];
  if (schema.$ref) parts.push(schema.$ref.split('/').pop());
  if (schema.allOf) parts.push(...schema.allOf.map((one) => type(one, indent)));
  if (schema.$ref || schema.allOf) {
    const own = properties(schema, indent);
    if (own) parts.unshift(own);
    return parts.join(' & ');
  }
  if (Array.isArray(schema.type))
    return schema.type.map((one) => simple(one, schema, indent)).join(' | ');
  if (schema.type) return simple(schema.type, schema, indent);
  return 'unknown';
}

function declaration(name, schema) {
  const own = type(schema);
  const plain = own.startsWith('{') && !own.includes(' & ') && schema.type === 'object';
  return `\n${comment(schema.description)}export ${plain ? `interface ${name} ${own}` : `type ${name} = ${own};`}\n`;
}

/** The text of types.ts for these schemas. */
export function types(schemas) {
  const all = new Map();
  for (const schema of schemas) {
    // An OpenAPI document keeps its schemas elsewhere, and is no type itself.
    const parts = schema.components?.schemas ?? schema.$defs ?? {};
    for (const [name, one] of Object.entries(parts)) {
      const known = all.get(name);
      const text = declaration(pascal(name), one);
      if (known && known !== text) throw new Error(`two types of the name ${name}`);
      all.set(name, text);
    }
    if (schema.components) continue;
    const root = { ...schema };
    delete root.$defs;
    all.set(schema.title, declaration(pascal(schema.title), root));
  }
  const sorted = [...all.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
  return (HEAD + sorted.map(([, text]) => text).join('')).replace(/ +\n/g, '\n');
}

export function current() {
  return types(
    SCHEMAS.map((name) => JSON.parse(readFileSync(here(`../schema/${name}.json`), 'utf8'))),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = current();
  if (process.argv.includes('--check')) {
    if (readFileSync(OUT, 'utf8') !== text) {
      console.error('src/wire/types.ts is not what the schemas say; run: npm run types');
      process.exit(1);
    }
  } else {
    writeFileSync(OUT, text);
  }
}
