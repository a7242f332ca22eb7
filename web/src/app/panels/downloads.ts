// A result as a file: the very bytes that the command line writes.

import { html, type TemplateResult } from 'lit';
import type { Problem } from '../../wire/http';
import type { Format } from '../api/client';
import { problemOf } from '../state/run';
import type { Session } from '../state/session';

/** Buttons that ask the server for a file; a problem is handed on. */
export function downloads(
  session: Session,
  path: '/v1/explain' | '/v1/attack',
  formats: Format[],
  body: () => unknown,
  name: string,
  failed: (problem: Problem | undefined) => void,
): TemplateResult {
  const fetchFile = async (format: Format) => {
    failed(undefined);
    try {
      save(await session.client.file(path, body(), format), `${name}.${format}`);
    } catch (error) {
      failed(problemOf(error));
    }
  };
  return html`<span class="downloads">download${formats.map(
    (format) =>
      html` <button type="button" class="small" data-format=${format} @click=${() => fetchFile(format)}>${format}<span class="hidden"> of ${name}</span></button>`,
  )}</span>`;
}

/** Hands a file to the browser. */
function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
