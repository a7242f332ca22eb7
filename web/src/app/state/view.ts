// Everything that makes a view, and how it is written into the page's address: behind the #, which
// is not sent to any server, so that a link shows the same view and no log holds the text.

import { PALETTES, type PaletteName } from '../../palette';
import type { Normalise } from '../../view/scale';
import type { By } from '../../view/units';
import { FIELDS, type Texts } from '../../wire/http';

export type Tab = 'why' | 'attack' | 'attention' | 'compare';

/** Settings as they are typed; what is not here has its default. */
export type Typed = Record<string, string>;

export interface ViewState {
  /** Empty for the server's default. */
  model: string;
  input: Texts;
  /** How predictions are read: `generate`, `aggregation`, `truncate` .. */
  options: Typed;
  tab: Tab;
  methods: string[];
  /** By method. */
  settings: Record<string, Typed>;
  preset: boolean;
  target: string;
  quantity: string;
  /** Which of the explanations of a document, counted from 0. */
  explanation: number;
  by: By;
  top: number;
  normalise: Normalise;
  palette: PaletteName;
  scheme: 'auto' | 'light' | 'dark';
  attack: string;
  attackTarget: string;
  attackSettings: Typed;
  /** Whether the attack was run, so that a link runs it again. */
  attacked: boolean;
  layer: number;
  head: number | 'mean';
  rollout: boolean;
  shape: 'matrix' | 'arcs';
  otherModel: string;
  otherInput: Texts;
}

const TABS: Tab[] = ['why', 'attack', 'attention', 'compare'];
const BY: By[] = ['word', 'token'];
const NORMALISE: Normalise[] = ['raw', 'share', 'strongest'];
const SCHEMES = ['auto', 'light', 'dark'] as const;
const SHAPES = ['matrix', 'arcs'] as const;

export function initial(): ViewState {
  return {
    model: '',
    input: {},
    options: {},
    tab: 'why',
    methods: [],
    settings: {},
    preset: false,
    target: '',
    quantity: '',
    explanation: 0,
    by: 'word',
    top: 0,
    normalise: 'raw',
    palette: 'blue-orange',
    scheme: 'auto',
    attack: '',
    attackTarget: '',
    attackSettings: {},
    attacked: false,
    layer: 0,
    head: 'mean',
    rollout: false,
    shape: 'matrix',
    otherModel: '',
    otherInput: {},
  };
}

/** Writes a view; what is as in the beginning is left out. */
export function toHash(state: ViewState): string {
  const first = initial();
  const out = new URLSearchParams();
  const put = (key: string, value: string | number | boolean, usual: unknown) => {
    if (value !== usual) out.set(key, String(value));
  };
  put('model', state.model, first.model);
  texts(out, '', state.input);
  typed(out, 'o.', state.options);
  put('tab', state.tab, first.tab);
  if (state.methods.length > 0) out.set('methods', state.methods.join(','));
  for (const [method, settings] of Object.entries(state.settings))
    typed(out, `s.${method}.`, settings);
  put('preset', state.preset, first.preset);
  put('target', state.target, first.target);
  put('quantity', state.quantity, first.quantity);
  put('explanation', state.explanation, first.explanation);
  put('by', state.by, first.by);
  put('top', state.top, first.top);
  put('normalise', state.normalise, first.normalise);
  put('palette', state.palette, first.palette);
  put('scheme', state.scheme, first.scheme);
  put('attack', state.attack, first.attack);
  put('attack-target', state.attackTarget, first.attackTarget);
  typed(out, 'a.', state.attackSettings);
  put('attacked', state.attacked, first.attacked);
  put('layer', state.layer, first.layer);
  put('head', state.head, first.head);
  put('rollout', state.rollout, first.rollout);
  put('shape', state.shape, first.shape);
  put('other-model', state.otherModel, first.otherModel);
  texts(out, 'other-', state.otherInput);
  const text = out.toString();
  return text === '' ? '' : `#${text}`;
}

/** Reads a view. What it does not know, or cannot be, is as in the beginning. */
export function fromHash(hash: string): ViewState {
  const given = new URLSearchParams(hash.replace(/^#/, ''));
  const state = initial();
  const text = (key: string) => given.get(key) ?? '';
  const number = (key: string) => {
    const value = Number(given.get(key));
    return Number.isInteger(value) && value >= 0 ? value : 0;
  };
  state.model = text('model');
  state.input = readTexts(given, '');
  state.options = readTyped(given, 'o.');
  state.tab = one(TABS, text('tab'));
  state.methods = text('methods').split(',').filter(Boolean);
  for (const key of given.keys()) {
    const [, method] = /^s\.([^.]+)\./.exec(key) ?? [];
    if (method) state.settings[method] = readTyped(given, `s.${method}.`);
  }
  state.preset = text('preset') === 'true';
  state.target = text('target');
  state.quantity = text('quantity');
  state.explanation = number('explanation');
  state.by = one(BY, text('by'));
  state.top = number('top');
  state.normalise = one(NORMALISE, text('normalise'));
  state.palette = one(Object.keys(PALETTES) as PaletteName[], text('palette'));
  state.scheme = one(SCHEMES, text('scheme'));
  state.attack = text('attack');
  state.attackTarget = text('attack-target');
  state.attackSettings = readTyped(given, 'a.');
  state.attacked = text('attacked') === 'true';
  state.layer = number('layer');
  state.head = given.has('head') && text('head') !== 'mean' ? number('head') : 'mean';
  state.rollout = text('rollout') === 'true';
  state.shape = one(SHAPES, text('shape'));
  state.otherModel = text('other-model');
  state.otherInput = readTexts(given, 'other-');
  return state;
}

function one<T extends string>(choices: readonly T[], text: string): T {
  return choices.find((choice) => choice === text) ?? choices[0]!;
}

function texts(out: URLSearchParams, prefix: string, input: Texts): void {
  for (const field of FIELDS) {
    if (input[field] !== undefined) out.set(prefix + field, input[field]);
  }
}

function readTexts(given: URLSearchParams, prefix: string): Texts {
  const input: Texts = {};
  for (const field of FIELDS) {
    const text = given.get(prefix + field);
    if (text !== null) input[field] = text;
  }
  return input;
}

function typed(out: URLSearchParams, prefix: string, settings: Typed): void {
  for (const [name, value] of Object.entries(settings)) {
    if (value !== '') out.set(prefix + name, value);
  }
}

function readTyped(given: URLSearchParams, prefix: string): Typed {
  const settings: Typed = {};
  for (const [key, value] of given) {
    if (key.startsWith(prefix)) settings[key.slice(prefix.length)] = value;
  }
  return settings;
}
