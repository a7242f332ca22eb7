// <reduction-view>: what is left of a text whose prediction stays the same.

import { css, html, nothing, type TemplateResult } from 'lit';
import { visibleLines } from '../text/visible';
import { parts } from '../view/diff';
import type { AttackDocument, AttackResult } from '../wire/types';
import { AttackView } from './attacks';
import { define } from './base';

export class ReductionView extends AttackView {
  static override styles = [
    ...AttackView.styles,
    css`
      .text b { font-weight: 650; border-bottom: .12em solid var(--_ink); }
      .text del { color: var(--_quiet); }
      .left { border-inline-start: .2rem solid var(--_ink); padding-inline-start: .75rem; margin: .5rem 0; font-size: 1.15rem; }
      .left.text { line-height: 1.6; }
    `,
  ];

  protected override change(document: AttackDocument, result: AttackResult): TemplateResult {
    return html`${document.input.fields.map((field, f) => {
      const changed = result.edits.some((edit) => edit.field === f);
      const all = parts(f, field.text, result.edits).map((part) => {
        const text = visibleLines(part.text);
        if (part.kind === 'gone') return html`<del>${text}</del>`;
        return changed && text.trim() !== '' ? html`<b>${text}</b>` : html`${text}`;
      });
      const left = result.final.fields[f]?.text ?? '';
      const rest =
        left.trim() === ''
          ? html`<span class="special">(nothing is left)</span>`
          : visibleLines(left);
      return html`${this.fieldName(document, f)}
        <p class="text" dir="auto">${all}</p>
        ${changed ? html`<p class="text left" dir="auto"><span class="hidden">what is left: </span>${rest}</p>` : nothing}`;
    })}`;
  }
}

define('reduction-view', ReductionView);
