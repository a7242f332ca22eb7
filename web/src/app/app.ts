// <glossator-app>: the page. It holds the session, the tabs, and what is the same in all of them.

import { html, LitElement, nothing, type TemplateResult } from 'lit';
import '../elements/prediction-bars';
import { Client } from './api/client';
import './panels/ask-panel';
import './panels/attack-panel';
import './panels/attention-panel';
import './panels/compare-panel';
import { problemBox, progressBox } from './panels/panel';
import { joinTarget, predicted } from './panels/target-form';
import './panels/why-panel';
import { keyTarget } from '../elements/keys';
import { Session } from './state/session';
import type { Tab, ViewState } from './state/view';

const TABS: Array<[Tab, string]> = [
  ['why', 'Why'],
  ['attack', 'How it breaks'],
  ['attention', 'Attention'],
  ['compare', 'Side by side'],
];

export class GlossatorApp extends LitElement {
  static override properties = { copied: { state: true } };
  declare private copied: boolean;
  private readonly session = new Session(new Client(), location.hash);

  constructor() {
    super();
    this.copied = false;
    this.session.addEventListener('change', () => this.requestUpdate());
    window.addEventListener('hashchange', () => this.session.visit(location.hash));
    void this.session.load();
  }

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  protected override render(): TemplateResult {
    const { session } = this;
    const { scheme } = session.view;
    document.documentElement.dataset.scheme = scheme;
    return html`<header class="top">
        <h1>Glossator</h1>
        <p>why a language model said that, and how it breaks</p>
        <div class="tools">
          <button type="button" class="small" id="link" @click=${this.copy}>${this.copied ? 'Copied' : 'Copy link'}</button>
          <label class="inline">colours <select id="scheme" @change=${(event: Event) => {
            session.set({
              scheme: (event.target as HTMLSelectElement).value as ViewState['scheme'],
            });
          }}>${(['auto', 'light', 'dark'] as const).map((one) => html`<option value=${one} .selected=${one === scheme}>${one}</option>`)}</select></label>
        </div>
      </header>
      <main>${session.problem ? this.broken() : session.lists ? this.body() : html`<p class="note" role="status">asking the server …</p>`}</main>`;
  }

  private body(): TemplateResult {
    const { session } = this;
    const { prediction, view } = session;
    if (!session.model) return html`<p class="problem" role="alert">this server has no model</p>`;
    return html`<div class="side">
        <ask-panel .session=${session}></ask-panel>
        <section class="said" aria-label="prediction">
          ${prediction.value ? html`<prediction-bars fold="3" ?selectable=${session.model.task === 'text-classification'} .data=${prediction.value} @label-select=${this.whyNot}></prediction-bars>` : nothing}
          ${progressBox(prediction, 'prediction')}
        </section>
      </div>
      <div class="work">
        <div class="tabs" role="tablist" aria-label="views" @keydown=${this.tabKey}>
          ${TABS.map(
            ([
              id,
              name,
            ]) => html`<button type="button" role="tab" id=${`tab-${id}`} aria-controls="panel"
            aria-selected=${id === view.tab ? 'true' : 'false'} tabindex=${id === view.tab ? 0 : -1} @click=${() => this.open(id)}>${name}</button>`,
          )}
        </div>
        <div id="panel" role="tabpanel" aria-labelledby=${`tab-${view.tab}`}>${this.panel(view.tab)}</div>
      </div>`;
  }

  private panel(tab: Tab): TemplateResult {
    const { session } = this;
    switch (tab) {
      case 'attack':
        return html`<attack-panel .session=${session}></attack-panel>`;
      case 'attention':
        return html`<attention-panel .session=${session}></attention-panel>`;
      case 'compare':
        return html`<compare-panel .session=${session}></compare-panel>`;
      default:
        return html`<why-panel .session=${session}></why-panel>`;
    }
  }

  /** The server could not be asked; without a token, it is asked for. */
  private broken(): TemplateResult {
    const problem = this.session.problem!;
    const token =
      problem.code === 'unauthorized'
        ? html`<form class="ask" @submit=${this.withToken}>
            <label class="field"><span>Token</span><input id="token" type="password" autocomplete="off" required></label>
            <div class="actions"><button type="submit" class="primary">Go on</button></div>
          </form>`
        : html`<button type="button" @click=${() => this.session.load()}>Try again</button>`;
    return html`<div class="broken">${problemBox(problem)}${token}</div>`;
  }

  private withToken = (event: Event): void => {
    event.preventDefault();
    this.session.client.token = this.querySelector<HTMLInputElement>('#token')!.value;
    void this.session.load();
  };

  /** A label in the prediction was chosen: why that one, or why not that one. */
  private whyNot = (event: CustomEvent<{ label: string }>): void => {
    const { session } = this;
    const { label } = event.detail;
    const best = predicted(session.prediction.value?.prediction);
    if (!session.model?.labels.includes(label) || best === '') return;
    session.set({ tab: 'why' });
    session.explainAll({ target: label === best ? '' : joinTarget(best, label) });
  };

  private open(tab: Tab): void {
    this.session.set({ tab });
    this.session.open();
  }

  private tabKey = (event: KeyboardEvent): void => {
    const now = TABS.findIndex(([id]) => id === this.session.view.tab);
    const next = keyTarget(event, now, TABS.length);
    if (next === undefined) return;
    event.preventDefault();
    this.open(TABS[next]![0]);
    void this.updateComplete.then(() => {
      this.querySelector<HTMLElement>('[role="tab"][aria-selected="true"]')?.focus();
    });
  };

  private copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(location.href);
      this.copied = true;
      setTimeout(() => {
        this.copied = false;
      }, 2000);
    } catch {
      // Without the right to the clipboard, the address bar has the link.
    }
  };
}

customElements.define('glossator-app', GlossatorApp);
