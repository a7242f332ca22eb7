// <edit-list>: what an attack changed, in the text and as a list.

import { css, html, nothing, type TemplateResult } from 'lit';
import { label, visible, visibleLines } from '../text/visible';
import { parts } from '../view/diff';
import type { AttackDocument, AttackResult, Edit } from '../wire/types';
import { AttackView } from './attacks';
import { define } from './base';

export class EditList extends AttackView {
  static override properties = { ...AttackView.properties, active: { state: true } };
  declare private active: Edit | undefined;

  static override styles = [
    ...AttackView.styles,
    css`
      .active { outline: 2px solid var(--_focus); outline-offset: 2px; border-radius: .15em; }
      .edits { display: flex; flex-wrap: wrap; gap: .35rem .5rem; margin-top: .25rem; font-size: .9rem; }
      .edits button { background: none; border: 1px solid var(--_line); border-radius: 1rem; padding: .1rem .75rem; cursor: pointer; }
      .edits button:hover { border-color: var(--_quiet); }
    `,
  ];

  protected override change(document: AttackDocument, result: AttackResult): TemplateResult {
    return html`${document.input.fields.map((field, f) => {
      const all = parts(f, field.text, result.edits).map((part) => {
        const text = visibleLines(part.text);
        const active =
          part.edit !== undefined && result.edits[part.edit] === this.active ? 'active' : '';
        if (part.kind === 'gone') return html`<del class=${active}>${text}</del>`;
        return part.kind === 'new' ? html`<ins class=${active}>${text}</ins>` : html`${text}`;
      });
      return html`${this.fieldName(document, f)}<p class="text" dir="auto">${all}</p>`;
    })}${this.list(document, result)}`;
  }

  private list(document: AttackDocument, result: AttackResult): TemplateResult | typeof nothing {
    if (result.edits.length === 0) return nothing;
    return html`<ul class="edits" aria-label="edits">
      ${result.edits.map((edit) => {
        const what = edit.from.trim() === '' ? 'inserted' : edit.to.trim() === '' ? 'deleted' : '';
        const from = html`<del><bdi>${label(edit.from.trim())}</bdi></del>`;
        const to = html`<ins><bdi>${label(edit.to.trim())}</bdi></ins>`;
        const field = visible(document.input.fields[edit.field]?.name ?? '');
        const place = `${field}, bytes ${edit.start} to ${edit.end}`;
        const body = what === 'inserted' ? to : what === 'deleted' ? from : html`${from} → ${to}`;
        return html`<li><button
          title=${place}
          @focus=${() => this.point(edit)}
          @pointerenter=${() => this.point(edit)}
          @click=${() => this.emit('token-select', detail(edit))}
        >${what ? `${what} ` : ''}${body}</button></li>`;
      })}
    </ul>`;
  }

  private point(edit: Edit): void {
    if (this.active === edit) return;
    this.active = edit;
    this.emit('token-focus', detail(edit));
  }
}

function detail(edit: Edit) {
  const { field, start, end, from, to } = edit;
  return { field, tokens: [], start, end, text: from, to, score: null, error: null };
}

define('edit-list', EditList);
