// The settings of a method, an attack or a constraint, made from what the server lists.

import { html, nothing, type TemplateResult } from 'lit';
import type { SettingInfo } from '../../wire/http';
import type { Typed } from '../state/view';
import { fieldValue } from './panel';

/** A form of these settings; `changed` gets the name and what was typed. */
export function settingsForm(
  settings: SettingInfo[],
  typed: Typed,
  prefix: string,
  changed: (name: string, value: string) => void,
): TemplateResult {
  return html`<div class="settings">${settings.map((one) => setting(one, typed[one.name] ?? '', `${prefix}-${one.name}`, changed))}</div>`;
}

function setting(
  one: SettingInfo,
  value: string,
  id: string,
  changed: (name: string, value: string) => void,
): TemplateResult {
  const help = `${id}-help`;
  const text = html`<span class="note" id=${help}>${one.help} [${one.default}]</span>`;
  const on = (event: Event) => changed(one.name, fieldValue(event));
  if (one.kind === 'boolean') {
    const tick = (event: Event) => {
      changed(one.name, (event.target as HTMLInputElement).checked ? 'true' : '');
    };
    return html`<div class="setting"><label for=${id}><input type="checkbox" id=${id} aria-describedby=${help} .checked=${value === 'true'} @change=${tick}> ${one.name}</label>${text}</div>`;
  }
  const field =
    one.kind === 'choice' && one.choices
      ? html`<select id=${id} aria-describedby=${help} @change=${on}>
          <option value="" .selected=${value === ''}>(default)</option>
          ${one.choices.map((choice) => html`<option value=${choice} .selected=${choice === value}>${choice}</option>`)}
        </select>`
      : html`<input id=${id} aria-describedby=${help} type="text" autocomplete="off" spellcheck="false"
          inputmode=${one.kind === 'integer' ? 'numeric' : one.kind === 'number' ? 'decimal' : nothing}
          .value=${value} @change=${on}>`;
  return html`<div class="setting"><label for=${id}>${one.name}</label>${field}${text}</div>`;
}
