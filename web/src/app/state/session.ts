// What the page knows and does: the view, the server's lists, the requests. Panels read it, change
// the view with `set`, and hear of every change.

import type {
  AttackList,
  AttackRequest,
  AttentionDocument,
  ExplainRequest,
  MethodList,
  ModelEntry,
  PredictDocument,
  PredictRequest,
  Problem,
  SettingEntry,
  SettingRequest,
  Texts,
} from '../../wire/http';
import { fieldsOf, textsOf } from '../../wire/http';
import type { AttackDocument, Document } from '../../wire/types';
import type { Client } from '../api/client';
import { problemOf, Run } from './run';
import { fromHash, type Typed, toHash, type ViewState } from './view';

/** MethodList that are shown at first, of those that the server has. */
const FIRST_METHODS = ['integrated-gradients', 'input-x-gradient', 'occlusion'];
/** How long typing rests before a prediction is asked for. */
const REST_MS = 350;

export interface Lists {
  models: ModelEntry[];
  methods: MethodList;
  attacks: AttackList;
}

export class Session extends EventTarget {
  view: ViewState;
  lists: Lists | undefined;
  /** What keeps the page from working at all. */
  problem: Problem | undefined;

  readonly prediction: Run<PredictDocument>;
  readonly attack: Run<AttackDocument>;
  readonly attention: Run<AttentionDocument>;
  readonly other: Run<Document>;
  /** The explanations by method. */
  readonly explanations = new Map<string, Run<Document>>();
  /** What the explanations were asked for, to tell whether the text was edited since. */
  private asked = '';
  /** The model that explained last. */
  private explained = '';
  private typing: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly client: Client,
    hash: string,
  ) {
    super();
    this.view = fromHash(hash);
    this.prediction = new Run(() => this.tell());
    this.attack = new Run(() => this.tell());
    this.attention = new Run(() => this.tell());
    this.other = new Run(() => this.tell());
  }

  /** Fetches the lists, and shows the view that the address asks for. */
  async load(): Promise<void> {
    this.problem = undefined;
    this.tell();
    try {
      const { client } = this;
      const [models, methods, attacks] = await Promise.all([
        client.models(),
        client.methods(),
        client.attacks(),
      ]);
      this.lists = { models, methods, attacks };
    } catch (error) {
      this.problem = problemOf(error);
      this.tell();
      return;
    }
    this.complete();
    this.tell();
    this.ask();
  }

  /** Fills in what a view needs and the address does not say. */
  private complete(): void {
    const { view } = this;
    const model = this.model;
    if (!model) return;
    if (Object.keys(view.input).length === 0) view.input = textsOf(model.examples[0]?.input);
    const known = this.lists!.methods.methods.map((method) => method.id);
    view.methods = view.methods.filter((id) => known.includes(id));
    if (view.methods.length === 0) {
      view.methods = FIRST_METHODS.filter((id) => known.includes(id));
      if (view.methods.length === 0) view.methods = known.slice(0, 1);
    }
    const attacks = this.lists!.attacks.attacks.map((attack) => attack.id);
    if (!attacks.includes(view.attack)) view.attack = attacks[0] ?? '';
  }

  /** The model of the view; the server's default where it names none. */
  get model(): ModelEntry | undefined {
    return this.find(this.view.model);
  }

  find(id: string): ModelEntry | undefined {
    const models = this.lists?.models ?? [];
    if (id !== '') return models.find((model) => model.id === id) ?? models.find((m) => m.default);
    return models.find((model) => model.default) ?? models[0];
  }

  /** Changes the view and the address. */
  set(patch: Partial<ViewState>): void {
    Object.assign(this.view, patch);
    this.link();
    this.tell();
  }

  private link(): void {
    const hash = toHash(this.view);
    history.replaceState(null, '', hash || location.pathname + location.search);
  }

  /** Shows the view of another address, such as after the back button. */
  visit(hash: string): void {
    if (hash === toHash(this.view)) return;
    this.view = fromHash(hash);
    this.complete();
    this.tell();
    this.ask();
  }

  /** Chooses a model, with its first example. */
  choose(id: string): void {
    const examples = this.find(id)?.examples ?? [];
    this.start({ model: id, input: textsOf(examples[0]?.input), options: {} });
  }

  /** Begins anew with another input: what was about the old one is forgotten. */
  start(patch: Partial<ViewState>): void {
    this.attack.clear();
    this.other.clear();
    this.attention.clear();
    this.set({
      target: '',
      attackTarget: '',
      attacked: false,
      explanation: 0,
      layer: 0,
      head: 'mean',
      ...patch,
    });
    this.ask();
  }

  /** Changes the text, and predicts when typing rests. */
  type(input: Texts): void {
    this.set({ input });
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.predict(), REST_MS);
  }

  /** Whether the text or its model changed since it was explained. */
  get edited(): boolean {
    return this.asked !== '' && this.asked !== JSON.stringify(this.reading());
  }

  private reading(): PredictRequest {
    const { view, model } = this;
    const input: Texts = {};
    for (const field of fieldsOf(model?.fields ?? [])) {
      const text = view.input[field];
      // A field that was left empty was not given, where it need not be.
      const left = text === '' && (field === 'continuation' || field === 'pair');
      if (text !== undefined && !left) input[field] = text;
    }
    if (input.context !== undefined && input.text !== undefined) delete input.text;
    return { model: model?.id, input, options: typedValues(view.options) };
  }

  /** Predicts and explains, and does what the open tab shows. */
  ask(): void {
    if (!this.model) return;
    clearTimeout(this.typing);
    this.link();
    this.asked = JSON.stringify(this.reading());
    this.predict();
    // The maps of the same model stay until the new ones are there; those of another make no sense.
    for (const [id, run] of this.explanations) {
      if (this.explained === this.model.id && this.view.methods.includes(id)) continue;
      run.cancel();
      this.explanations.delete(id);
    }
    this.explained = this.model.id;
    for (const id of this.view.methods) this.explain(id);
    if (this.view.attacked) this.runAttack();
    this.attention.clear();
    this.other.clear();
    this.open();
  }

  /** Fetches what the open tab shows, if it is not there. */
  open(): void {
    if (!this.model) return;
    if (this.view.tab === 'attention' && this.attention.state === 'idle' && this.model.attention) {
      const body = this.reading();
      void this.attention.start((watch) => this.client.attention(body, watch));
    }
    if (this.view.tab === 'compare' && this.other.state === 'idle') this.compare();
  }

  predict(): void {
    if (!this.model) return;
    const body = this.reading();
    void this.prediction.start((watch) => this.client.predict(body, watch));
  }

  /** What to ask for an explanation. */
  request(method: string): ExplainRequest {
    const { view } = this;
    const info = this.lists?.methods.methods.find((one) => one.id === method);
    const body: ExplainRequest = { ...this.reading(), method };
    if (view.preset && info?.allennlp) return { ...body, preset: 'allennlp' };
    const settings = values(view.settings[method] ?? {}, info?.settings ?? []);
    if (Object.keys(settings).length > 0) body.settings = settings;
    if (view.target !== '') body.target = view.target;
    if (view.quantity !== '') body.quantity = view.quantity;
    return body;
  }

  explain(method: string): void {
    let run = this.explanations.get(method);
    if (!run) {
      run = new Run<Document>(() => this.tell());
      this.explanations.set(method, run);
    }
    const body = this.request(method);
    void run.start((watch) => this.client.explain(body, watch));
  }

  /** Explains again by all methods: another target, quantity or setting. */
  explainAll(patch: Partial<ViewState>): void {
    this.set({ explanation: 0, ...patch });
    for (const id of this.view.methods) this.explain(id);
    if (this.view.tab === 'compare') this.compare();
  }

  /** Shows a method's map, or takes it away. */
  toggle(method: string, on: boolean): void {
    const order = this.lists?.methods.methods.map((one) => one.id) ?? [];
    const chosen = new Set(this.view.methods);
    if (on) chosen.add(method);
    else chosen.delete(method);
    this.set({ methods: order.filter((id) => chosen.has(id)) });
    if (on) this.explain(method);
    else {
      this.explanations.get(method)?.cancel();
      this.explanations.delete(method);
    }
  }

  attackRequest(): AttackRequest {
    const { view, lists } = this;
    const attack = lists?.attacks.attacks.find((one) => one.id === view.attack);
    const constraints = lists?.attacks.constraints.flatMap((one) => one.settings) ?? [];
    const settings = values(view.attackSettings, [...(attack?.settings ?? []), ...constraints]);
    const { options, ...reading } = this.reading();
    // An attack writes nothing.
    const { generate: _, ...read } = options ?? {};
    const body: AttackRequest = { ...reading, options: read, attack: view.attack };
    if (Object.keys(settings).length > 0) body.settings = settings;
    if (view.attackTarget !== '') body.target = view.attackTarget;
    return body;
  }

  runAttack(): void {
    this.set({ attacked: true });
    const body = this.attackRequest();
    void this.attack.start((watch) => this.client.attack(body, watch));
  }

  /** Explains the other side of a comparison by the first method. */
  compare(): void {
    const { view } = this;
    const method = view.methods[0];
    const model = this.find(view.otherModel || (this.model?.id ?? ''));
    if (!method || !model) return;
    const input: Texts = {};
    for (const field of fieldsOf(model.fields)) {
      const text = view.otherInput[field] ?? view.input[field];
      if (text !== undefined && text !== '') input[field] = text;
    }
    if (input.context !== undefined && input.text !== undefined) delete input.text;
    const body: ExplainRequest = { ...this.request(method), model: model.id, input };
    void this.other.start((watch) => this.client.explain(body, watch));
  }

  private tell(): void {
    this.dispatchEvent(new Event('change'));
  }
}

/** Settings as the server takes them; `known` says of which kind each is. */
export function values(typed: Typed, known: SettingEntry[]): Record<string, SettingRequest> {
  const out: Record<string, SettingRequest> = {};
  for (const { name, kind } of known) {
    const text = typed[name]?.trim();
    if (text === undefined || text === '') continue;
    if (kind === 'boolean') out[name] = text === 'true';
    // What is no number is sent as it was typed: the server says what it expects.
    else if (kind === 'number' || kind === 'integer') {
      out[name] = Number.isFinite(Number(text)) ? Number(text) : text;
    } else out[name] = text;
  }
  return out;
}

const COUNTS = new Set(['top', 'generate', 'stride', 'max_answer']);

function typedValues(options: Typed): NonNullable<PredictRequest['options']> {
  const out: Record<string, SettingRequest> = {};
  for (const [name, text] of Object.entries(options)) {
    if (text === '' || text === 'false') continue;
    if (COUNTS.has(name)) out[name] = Number.isFinite(Number(text)) ? Number(text) : text;
    else out[name] = text === 'true' ? true : text;
  }
  return out;
}
