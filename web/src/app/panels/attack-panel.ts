// How it breaks: attacks, targeted or not, with their settings and constraints.

import { html, nothing, type TemplateResult } from 'lit';
import '../../elements/edit-list';
import '../../elements/reduction-view';
import { visible } from '../../text/visible';
import { reduces } from '../../view/verdict';
import type { Problem } from '../../wire/http';
import { downloads } from './downloads';
import { fieldValue, Panel, problemBox, progressBox } from './panel';
import { settingsForm } from './settings-form';
import { kinds, suggestions } from './target-form';

export class AttackPanel extends Panel {
  static override properties = { ...Panel.properties, problem: { state: true } };
  declare private problem: Problem | undefined;

  protected override render(): TemplateResult | typeof nothing {
    const { session } = this;
    const { view, lists, model } = session;
    if (!lists || !model) return nothing;
    const attack = lists.attacks.attacks.find((one) => one.id === view.attack);
    if (!attack) return html`<p>this server has no attacks</p>`;
    return html`<form class="attack" @submit=${(event: Event) => {
      event.preventDefault();
      session.runAttack();
    }}>
      <fieldset class="chips"><legend>attack</legend>
        ${lists.attacks.attacks.map(
          (
            one,
          ) => html`<label title=${one.summary}><input type="radio" name="attack" value=${one.id} .checked=${one === attack}
          @change=${() => this.change({ attack: one.id, attackTarget: '', attackSettings: {} })}>${one.title}</label>`,
        )}
      </fieldset>
      <p>${attack.summary}</p>
      <p class="note">${attack.caution}</p>
      ${attack.id === 'input-reduction' ? nothing : this.target()}
      <details class="options"><summary>Settings and constraints</summary>
        <p class="note">${attack.citation} · cost: ${attack.cost}</p>
        ${settingsForm(attack.settings, view.attackSettings, 'attack', this.typed)}
        ${lists.attacks.constraints.map(
          (one) => html`<section class="about-method"><h3>${one.name}</h3>
          <p class="note">${one.help} ${one.citation}</p>
          ${settingsForm(one.settings, view.attackSettings, 'constraint', this.typed)}</section>`,
        )}
      </details>
      <div class="actions"><button type="submit" class="primary" id="run-attack">Attack</button></div>
    </form>
    ${progressBox(session.attack, attack.title)}
    ${this.outcome()}`;
  }

  private target(): TemplateResult {
    const { view, model, prediction } = this.session;
    const names = suggestions(model!, prediction.value?.prediction);
    const set = (event: Event) => this.change({ attackTarget: fieldValue(event) });
    const closed = kinds(model!).length > 0;
    const field = closed
      ? html`<select id="attack-target" @change=${set}><option value="" .selected=${view.attackTarget === ''}>anything else</option>
          ${names.map((name) => html`<option value=${name} .selected=${name === view.attackTarget}>${visible(name)}</option>`)}</select>`
      : html`<input id="attack-target" type="text" autocomplete="off" list="attack-targets" placeholder="anything else" .value=${view.attackTarget} @change=${set}>
          <datalist id="attack-targets">${names.map((name) => html`<option value=${name}></option>`)}</datalist>`;
    return html`<label class="inline">the prediction is to become ${field}</label>`;
  }

  private change(patch: Parameters<typeof this.session.set>[0]): void {
    this.session.attack.clear();
    this.session.set({ attacked: false, ...patch });
  }

  private typed = (name: string, value: string): void => {
    const attackSettings = { ...this.session.view.attackSettings, [name]: value };
    this.change({ attackSettings });
  };

  private outcome(): TemplateResult | typeof nothing {
    const { session } = this;
    const document = session.attack.value;
    if (!document || session.attack.running) return nothing;
    const { palette } = session.view;
    return html`<div class="outcome">
      ${
        reduces(document)
          ? html`<reduction-view .data=${document} palette=${palette}></reduction-view>`
          : html`<edit-list .data=${document} palette=${palette}></edit-list>`
      }
      <div class="files">${downloads(
        session,
        '/v1/attack',
        ['html', 'json', 'csv'],
        () => session.attackRequest(),
        document.attack.id,
        (problem) => {
          this.problem = problem;
        },
      )}${problemBox(this.problem)}</div>
    </div>`;
  }
}

customElements.define('attack-panel', AttackPanel);
