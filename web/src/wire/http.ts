// What the server says besides documents: lists of what it can do, jobs, problems.

import type { Input, Model, Prediction } from './types';

/** What a model says of an input, without an explanation. */
export interface PredictDocument {
  version: 1;
  model: Model;
  input: Input;
  prediction: Prediction;
  truncated?: number | null;
}

/** Where a model reads: attention of every layer and head. */
export interface AttentionDocument {
  version: 1;
  model: Model;
  input: Input;
  layers: number;
  heads: number;
  /** The token of each row and column: an index into the tokens of all fields. */
  queries: number[];
  /** By layer, head, query and key; rows sum to 1. */
  attention: number[][][][];
  /** The same through all layers (Abnar & Zuidema 2020), by query and key. */
  rollout?: number[][] | null;
  truncated?: number | null;
}

/** The input of a request: the keys of a row of JSON Lines. */
export interface RequestInput {
  text?: string;
  context?: string;
  pair?: string;
  question?: string;
  continuation?: string;
}

export type InputField = keyof RequestInput;

export interface ModelInfo {
  id: string;
  /** Empty while that cannot be told. */
  family: string;
  task: string;
  labels: string[];
  parameters: number | null;
  bytes: number;
  description: string;
  license: string | null;
  default: boolean;
  /** The keys of an input that it has a use for. */
  fields: InputField[];
  attention: boolean;
  layers: number | null;
  heads: number | null;
  max_tokens: number | null;
  examples: Array<{ title: string; input: RequestInput }>;
  /** Why it cannot be used. */
  problem?: string | null;
}

export interface SettingInfo {
  name: string;
  help: string;
  default: string;
  kind: 'number' | 'integer' | 'choice' | 'boolean' | 'text';
  choices?: string[] | null;
  /** The largest value that this server takes. */
  most?: number | null;
}

/** A method or an attack. */
export interface MethodInfo {
  id: string;
  title: string;
  summary: string;
  caution: string;
  citation: string;
  cost: string;
  /** What the preset `allennlp` computes. */
  allennlp?: string | null;
  settings: SettingInfo[];
}

export interface ConstraintInfo {
  name: string;
  help: string;
  citation: string;
  /** The first switches it on. */
  settings: SettingInfo[];
}

export interface Methods {
  methods: MethodInfo[];
  default: string;
  quantities: string[];
}

export interface Attacks {
  attacks: MethodInfo[];
  constraints: ConstraintInfo[];
}

/** An error as the server tells it (RFC 9457). */
export interface Problem {
  title: string;
  status: number;
  detail: string;
  code: string;
  hint?: string | null;
}

export interface JobProgress {
  state: 'queued' | 'running' | 'done' | 'failed' | 'cancelled';
  evaluations: number;
  elapsed_ms: number;
  position?: number | null;
}

export type Value = string | number | boolean;

/** How predictions are read. */
export type Options = Partial<{
  truncate: boolean;
  top: number;
  generate: number;
  aggregation: string;
  stride: number;
  max_answer: number;
  unanswerable: boolean;
}>;

export interface ReadRequest {
  model?: string;
  input: RequestInput;
  options?: Options;
}

export interface ExplainRequest extends ReadRequest {
  method?: string;
  settings?: Record<string, Value>;
  preset?: 'allennlp';
  target?: string;
  quantity?: string;
}

export interface AttackRequest extends ReadRequest {
  attack: string;
  settings?: Record<string, Value>;
  target?: string;
  field?: string;
  decision?: string;
  max_passes?: number;
}
