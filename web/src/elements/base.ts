// What all elements do: take documents as a property or as a JSON child, and say what is wrong.

import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import type { PaletteName, Scheme } from '../palette';
import { type AnyDocument, documentsOf } from '../wire/parse';

/** What `token-focus` and `token-select` say of a place in the input. */
export interface TokenDetail {
  /** The field, counted from 0. */
  field: number;
  /** Its tokens, counted from 0 in the field. */
  tokens: number[];
  /** First byte of UTF-8 in the field's text, and one past the last. */
  start: number;
  end: number;
  text: string;
  /** The exact score; null where the place has none. */
  score: number | null;
  error: number | null;
}

const CHILD = ':scope > script[type="application/json"]';

export abstract class GlossatorElement extends LitElement {
  static override properties = {
    data: { attribute: false },
    palette: { reflect: true },
    scheme: { reflect: true },
    child: { state: true },
  };

  /** A document of the wire format, several, or their JSON; a JSON child serves as well. */
  declare data: unknown;
  /** `blue-orange` (the usual), `purple-green` or `grey`. */
  declare palette: PaletteName;
  /** `light` or `dark`; without it that of the page's `color-scheme`. */
  declare scheme: Scheme | undefined;

  /** What was given, checked. */
  protected documents: AnyDocument[] = [];
  private problem: string | undefined;
  private observer: MutationObserver | undefined;
  /** The JSON of the child. */
  declare private child: string | undefined;

  constructor() {
    super();
    this.palette = 'blue-orange';
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.readChild();
    // A parser may connect the element before its child is there, and a page may change it.
    this.observer = new MutationObserver(() => this.readChild());
    this.observer.observe(this, { childList: true, characterData: true, subtree: true });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.observer?.disconnect();
  }

  private readChild(): void {
    this.child = this.querySelector(CHILD)?.textContent ?? undefined;
  }

  protected override willUpdate(changed: PropertyValues): void {
    // To those that draw, both ways to give a document are one.
    if (changed.has('child')) changed.set('data', undefined);
    if (!changed.has('data')) return;
    this.problem = undefined;
    try {
      this.documents = documentsOf(this.data ?? this.child);
      this.prepare();
    } catch (error) {
      this.documents = [];
      this.problem = error instanceof Error ? error.message : String(error);
    }
  }

  /** Called with new documents, before they are drawn. An error is shown instead of a picture. */
  protected prepare(): void {}

  protected override render(): TemplateResult | typeof nothing {
    if (this.problem !== undefined) {
      return html`<p class="alert" role="alert"><strong>${this.localName}</strong>: ${this.problem}</p>`;
    }
    return this.documents.length === 0 ? nothing : this.draw();
  }

  protected abstract draw(): TemplateResult | typeof nothing;

  /** Tells the page; events cross the borders of elements. */
  protected emit(type: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
  }
}

/** Defines an element, unless the page loaded the bundle twice. */
export function define(name: string, element: CustomElementConstructor): void {
  if (!customElements.get(name)) customElements.define(name, element);
}
