// The wire format of Glossator, version 1. Written by scripts/types.mjs from schema/*.json, which
// `glossator schema` prints: change the Rust types, not this file.

/**
 * How labels of tokens become entities: neighbours as they are, or each word by its first token, by
 * the mean, or by its most certain token.
 */
export type AggregationRequest =
  | "simple"
  | "first"
  | "average"
  | "max";

/** A part of a context that answers a question. */
export interface Answer {
  /** Its text; null says that the context has no answer. */
  answer: string | null;
  /** One past its last byte; null without an answer. */
  end: number | null;
  /** How probable it is, 0 to 1. */
  probability: number;
  /** First byte in the field's text; null without an answer. */
  start: number | null;
}

/** The answers to a question. */
export interface Answers {
  /** Its text; null says that the context has no answer. */
  answer: string | null;
  /** The best answers, the first of all included, with falling probability. */
  answers: Array<Answer>;
  /** One past its last byte; null without an answer. */
  end: number | null;
  /** The field in which the answers stand, counted from 0. */
  field: number;
  /** How probable it is, 0 to 1. */
  probability: number;
  /** First byte in the field's text; null without an answer. */
  start: number | null;
}

/** One input, what the model said about it, and how that breaks. */
export interface AttackDocument {
  /** The attack, with its settings and those of its constraints. */
  attack: Method;
  /** The text as it was given, and as the model read it. */
  input: Input;
  /** The model that was asked. */
  model: Model;
  /** What the model said of it. */
  original: Prediction;
  /** Where the input came from, such as `reviews.txt:12`; absent for an argument. */
  place?: string | null;
  /** One for each decision that was attacked; there may be none. */
  results: Array<AttackResult>;
  /** How many tokens did not fit the model and were not read; absent when all were. */
  truncated?: number | null;
  /** The version of this format; a reader that knows another one should refuse. */
  version: 1;
}

/** What a run of attacks writes: a document for each input, then a summary; or a trigger. */
export type AttackLine =
  | AttackDocument
  | AttackSummary
  | TriggerDocument;

/** The attacks, and what they can be held to. */
export interface AttackList {
  /** Every attack on one input. */
  attacks: Array<MethodEntry>;
  /** Every constraint; the settings of several combine. */
  constraints: Array<ConstraintEntry>;
}

/** How does what a model says of an input break? */
export interface AttackRequest {
  /** The attack's id, as `/v1/attacks` lists them. */
  attack: string;
  /** Which of several decisions is attacked: its number from 1, or an entity's text. */
  decision?: string | null;
  /** The text that may be changed, by its field's name, or `all`. */
  field?: string | null;
  /** The texts. */
  input: InputRequest;
  /** Forward passes at most. */
  max_passes?: number | null;
  /** The model's id; without one, the default of `/v1/models`. */
  model?: string | null;
  /** How predictions are read. */
  options?: OptionsRequest;
  /** Settings of the attack and of constraints. */
  settings?: Record<string, SettingRequest>;
  /** What the prediction is to become; anything else without one. */
  target?: string | null;
}

/** What came of attacking one decision. */
export interface AttackResult {
  /** What is known of anything smaller; null where none was asked for. */
  certificate:
    | Certificate
    | null;
  /** The edits of the original that make it, by field and place. */
  edits: Array<Edit>;
  /** The final text as the model read it; without success the nearest that was found. */
  final: Input;
  /** How many texts the model read, those of gradients included. */
  forward_passes: number;
  /** How many gradients were computed. */
  gradient_evaluations: number;
  /**
   * Of a reduction the tokens of each field of the original that are left, counted from 0; null
   * for other attacks.
   */
  kept: Array<Array<number>> | null;
  /** What a reader should know, one sentence each. */
  notes?: Array<string>;
  /** Other final texts that are as good, the texts of all fields each; absent when there is none. */
  others?: Array<Array<string>>;
  /** What the model says of the final text. */
  prediction: Prediction;
  /**
   * Why it ended: `found`, `searched` (nothing is left to try), `spent` (a limit was reached) or
   * `fixed` (nothing may be changed).
   */
  stopped: string;
  /** Whether the attack succeeded: the final text, read by itself, has what was wanted. */
  success: boolean;
  /** What the model decided about the original. */
  target: Target;
}

/** How often attacks on many inputs succeeded: the last line of a run over a file. */
export interface AttackSummary {
  /** The attack. */
  attack: Method;
  /** The model that was attacked. */
  model: Model;
  /** The counts and means. */
  summary: Counts;
  /** The version of this format. */
  version: 1;
}

/** Where a model reads: attention probabilities of every layer and head, rounded to five digits. */
export type AttentionDocument = {
  /** How much each token reads of each: by layer, head, query and key. Rows sum to 1. */
  attention: Array<Array<Array<Array<number>>>>;
  /** Heads of a layer. */
  heads: number;
  /** The text as it was given, and as the model read it. */
  input: Input;
  /** Number of layers. */
  layers: number;
  /** The model that was asked. */
  model: Model;
  /**
   * The token of each row and column, an index into the tokens of all fields, one field after
   * the other.
   */
  queries: Array<number>;
  /** Attention rollout (Abnar & Zuidema 2020): the same through all layers, by query and key. */
  rollout: Array<Array<number>>;
  /** How many tokens did not fit the model and were not read; absent when all were. */
  truncated?: number | null;
  /** The version of this format; a reader that knows another one should refuse. */
  version: 1;
};

/** Where does a model read? */
export interface AttentionRequest {
  /** The texts. */
  input: InputRequest;
  /** The model's id; without one, the default of `/v1/models`. */
  model?: string | null;
  /** How the input is read. */
  options?: OptionsRequest;
}

/** A token that may stand at a place. */
export interface Candidate {
  /** Its number in the vocabulary. */
  id: number;
  /** The model's raw output for it. */
  logit: number;
  /** Its probability, 0 to 1. */
  probability: number;
  /** What it adds to a text; its name in the vocabulary if that is nothing. */
  token: string;
}

/** What an exhaustive search showed, within the stated set. */
export type Certificate =
  | {
  /** Texts that were tried for this. */
  evaluated: number;
  kind: "minimal";
  /** Out of what was chosen. */
  set: string;
  /** Edits of the flip, or words that the reduction leaves. */
  size: number;
}
  | {
  /** Texts that were tried for this. */
  evaluated: number;
  kind: "nothing";
  /** Out of what was chosen. */
  set: string;
  /** The largest size that was searched. */
  size: number;
}
  | {
  /** Texts that were tried. */
  evaluated: number;
  kind: "spent";
  /** How many choices there are. */
  of: number;
  /** Out of what was chosen. */
  set: string;
  /** The size that was not finished. */
  size: number;
};

/** The answer of a text classifier. */
export type Classification =
  | {
  kind: "single-label";
} & Labels
  | {
  kind: "multi-label";
} & Labels
  | {
  kind: "regression";
} & Regression;

/** A constraint. */
export interface ConstraintEntry {
  /** Where it comes from. */
  citation: string;
  /** What it demands. */
  help: string;
  /** Its name. */
  name: string;
  /** Its settings; the first switches it on. */
  settings: Array<SettingEntry>;
}

/** Counts and means of many attacks. Means are null where there is nothing to take a mean of. */
export interface Counts {
  /** Decisions that were attacked. */
  attacked: number;
  /** Edits of a success. */
  edits:
    | Mean
    | null;
  /** Inputs that could not be attacked. */
  errors: number;
  /** Forward passes of an attack. */
  forward_passes:
    | Mean
    | null;
  /** Gradients of an attack. */
  gradient_evaluations:
    | Mean
    | null;
  /** Inputs that came. */
  inputs: number;
  /** The share of the tokens that a reduction kept; null for other attacks. */
  kept:
    | Mean
    | null;
  /** Those whose attack a limit ended. */
  spent: number;
  /** Those whose attack succeeded. */
  succeeded: number;
  /** The share that succeeded, with Wilson's 95 % interval. */
  success_rate:
    | Mean
    | null;
  /** Inputs that the model had wrong to begin with; they were not attacked. */
  wrong: number;
}

/** One input, what the model said about it, and why. */
export interface Document {
  /** One explanation for each target, in the order they were asked for. */
  explanations: Array<Explanation>;
  /** The text as it was given, and as the model read it. */
  input: Input;
  /** The method that explained it. */
  method: Method;
  /** The model that was asked. */
  model: Model;
  /** What the model said. */
  prediction: Prediction;
  /** How many tokens did not fit the model and were not read; absent when all were. */
  truncated?: number | null;
  /** The version of this format; a reader that knows another one should refuse. */
  version: 1;
}

/** Some bytes of a field's text replaced by others. */
export interface Edit {
  /** One past the last byte; equal to `start` for what is inserted. */
  end: number;
  /** The field, counted from 0. */
  field: number;
  /** What stands there. */
  from: string;
  /** First byte in the original text. */
  start: number;
  /** What comes in its place. */
  to: string;
}

/** The entities of a token classifier. */
export interface Entities {
  /** In the order of the text; there may be none. */
  entities: Array<Entity>;
}

/** Some tokens that have one label. */
export interface Entity {
  /** One past its last byte. */
  end: number;
  /** The field that it stands in, counted from 0. */
  field: number;
  /** The label, without the prefix that says where in an entity a token stands. */
  label: string;
  /** The mean probability of its tokens' labels, 0 to 1. */
  probability: number;
  /** First byte in the field's text. */
  start: number;
  /** The text from `start` to `end`. */
  text: string;
}

/** An input to begin with. */
export interface ExampleEntry {
  /** The input. */
  input: InputRequest;
  /** What it shows. */
  title: string;
}

/** Why does a model say that of an input? */
export interface ExplainRequest {
  /** The texts. */
  input: InputRequest;
  /** The method's id; without one, `integrated-gradients`. */
  method?: string | null;
  /** The model's id; without one, the default of `/v1/models`. */
  model?: string | null;
  /** How the prediction is read. */
  options?: OptionsRequest;
  /** Compute what another tool's code computed; goes with neither settings, target nor quantity. */
  preset?:
    | PresetRequest
    | null;
  /** How the target is measured: `logit`, `probability`, `log-probability` or `loss`. */
  quantity?: string | null;
  /** The method's settings. */
  settings?: Record<string, SettingRequest>;
  /**
   * What to explain: `predicted`, a label, a kind of entity, a token, words of the context, or
   * `A-vs-B`.
   */
  target?: string | null;
}

/**
 * Scores for one target.
 *
 * F is the target's quantity as a function of the input, x the input, x' the baseline.
 */
export interface Explanation {
  /** F(x'): the quantity for the baseline; null when the method has none. */
  baseline_output: number | null;
  /** Whether the method reached the accuracy it was asked for; null when it has no such notion. */
  converged: boolean | null;
  /**
   * The completeness error: the sum of all scores minus F(x) - F(x'). Null when the method does
   * not promise that the scores add up to the difference.
   */
  delta: number | null;
  /** The method's own estimate of its error, in the unit of the scores; null when it has none. */
  error_estimate: number | null;
  /** How many gradients of the model this explanation cost, counting each text of a batch. */
  gradient_evaluations: number;
  /** Whether the scores are magnitudes, without a direction; absent when they are signed. */
  magnitudes?: boolean;
  /** What a reader of the scores should know, one sentence each. */
  notes?: Array<string>;
  /** F(x): the quantity for the input. */
  output: number;
  /** One raw score per token, per field, aligned with the field's `tokens`. */
  scores: Array<Array<number>>;
  /** What is explained. */
  target: Target;
  /** The error estimate of each score, aligned with `scores`; absent when the method gives none. */
  token_error_estimates?: Array<Array<number>> | null;
  /** The same scores added up over the tokens of each word, per field. */
  words: Array<Array<WordScore>>;
}

/** One part of the input. */
export interface Field {
  /** The part's name, for example `text` or `premise`. */
  name: string;
  /** The text as it was given; all positions count bytes of its UTF-8 form. */
  text: string;
  /** What the model read of it, special tokens included, in the model's order. */
  tokens: Array<Token>;
}

/** Whether the server answers. */
export interface Health {
  /** Always `ok`. */
  status: string;
}

/** The text that was explained. */
export interface Input {
  /** The input's parts in the order the model reads them, for example premise and hypothesis. */
  fields: Array<Field>;
}

/**
 * The texts that a model is to read. Keys that are not here are ignored: a row of a data set may
 * hold more.
 */
export interface InputRequest {
  /** The context of a question, in place of the text. */
  context?: string | null;
  /** What a language model is to have written after the text. */
  continuation?: string | null;
  /** The second text of a pair. */
  pair?: string | null;
  /** The question about a context. */
  question?: string | null;
  /** The text; of a question, its context. */
  text?: string | null;
}

/** The answer to a request that is computed later. */
export interface JobAccepted {
  /** The name of the job: `/v1/jobs/{id}`. */
  id: string;
  /** Where it stands. */
  state: JobState;
}

/** How far a job is. */
export interface JobProgress {
  /** Milliseconds since it was asked for; of a finished one, until it was. */
  elapsed_ms: number;
  /** Forward and gradient evaluations so far. */
  evaluations: number;
  /** How many jobs are before it; absent unless it is queued. */
  position?: number | null;
  /** Where it stands. */
  state: JobState;
}

/** Where a job stands. */
export type JobState =
  | "queued"
  | "running"
  | "done"
  | "failed"
  | "cancelled";

/** A job with what came of it. */
export interface JobStatus {
  /** Milliseconds since it was asked for; of a finished one, until it was. */
  elapsed_ms: number;
  /** Forward and gradient evaluations so far. */
  evaluations: number;
  /** The name of the job. */
  id: string;
  /** How many jobs are before it; absent unless it is queued. */
  position?: number | null;
  /** What went wrong, if it failed. */
  problem?:
    | Problem
    | null;
  /** The document, once it is done. */
  result?: unknown;
  /** Where it stands. */
  state: JobState;
}

/** One label of a classifier. */
export interface LabelScore {
  /** The label's name from the model's configuration. */
  label: string;
  /** The model's raw output for it; null when the model is a black box. */
  logit: number | null;
  /** Its probability, 0 to 1. */
  probability: number;
}

/** Every label with its probability. */
export interface Labels {
  /** The most probable label. */
  label: string;
  /** All labels in the model's order, the most probable one included. */
  labels: Array<LabelScore>;
  /** Its probability, 0 to 1. */
  probability: number;
}

/** A mask with what may stand in its place. */
export interface Mask {
  /** The most likely tokens, with falling probability. */
  candidates: Array<Candidate>;
  /** One past its last byte. */
  end: number;
  /** The field that it stands in, counted from 0. */
  field: number;
  /** Its first byte in the field's text. */
  start: number;
  /** Which of the field's tokens it is, counted from 0. */
  token: number;
}

/** The masks of a masked language model. */
export interface Masks {
  /** In the order of the text. */
  masks: Array<Mask>;
}

/** A mean with its 95 % interval. */
export interface Mean {
  /** The two ends of the interval. */
  interval: [number, number];
  /** The mean. */
  mean: number;
}

/** The method and every setting it ran with, defaults included, so that it can run again. */
export interface Method {
  /** The method's registered name, for example `integrated-gradients`. */
  id: string;
  /** Its settings by name. */
  settings: Record<string, unknown>;
}

/** A method, or an attack. */
export interface MethodEntry {
  /** What the preset `allennlp` computes; absent for what AllenNLP had not. */
  allennlp?: string | null;
  /** When it misleads. */
  caution: string;
  /** Where it comes from. */
  citation: string;
  /** What it costs. */
  cost: string;
  /** What requests call it. */
  id: string;
  /** Its settings. */
  settings: Array<SettingEntry>;
  /** What it does, in a sentence or two. */
  summary: string;
  /** What people call it. */
  title: string;
}

/** The methods of explanation. */
export interface MethodList {
  /** The id of the method that is used where none is named. */
  default: string;
  /** Every method. */
  methods: Array<MethodEntry>;
  /** How a target can be measured. */
  quantities: Array<string>;
}

/** Names a model well enough to find the very same one again. */
export interface Model {
  /** The architecture, for example `bert`. */
  family: string;
  /** The name it was asked for by: a directory or a registered name. */
  id: string;
  /** SHA-256 of the weights in hexadecimal; null when they did not come from a file. */
  sha256: string | null;
  /** What it was trained to answer, for example `text-classification`. */
  task: string;
}

/** One model. */
export interface ModelEntry {
  /** Whether `/v1/attention` can show where it reads. */
  attention: boolean;
  /** Bytes of its weights. */
  bytes: number;
  /** Whether it answers requests that name no model. */
  default: boolean;
  /** What it is, in a sentence; empty where nothing says so. */
  description: string;
  /** Inputs to begin with. */
  examples: Array<ExampleEntry>;
  /** The architecture, for example `bert`; empty while that cannot be told. */
  family: string;
  /** The keys of an input that it has a use for. */
  fields: Array<string>;
  /** Heads of a layer; null for a large model that was not used yet. */
  heads: number | null;
  /** What requests call it. */
  id: string;
  /** Its labels; empty for tasks without. */
  labels: Array<string>;
  /** Number of layers; null for a large model that was not used yet. */
  layers: number | null;
  /** The licence as the model's card names it; null where it names none. */
  license: string | null;
  /** The most tokens that it reads; null for a large model that was not used yet. */
  max_tokens: number | null;
  /** Number of parameters; null for a large model that was not used yet. */
  parameters: number | null;
  /** Why it cannot be used; absent where it can, as far as is known. */
  problem?: string | null;
  /** What it decides, for example `text-classification`; empty while that cannot be told. */
  task: string;
}

/** The models that a server has. */
export interface ModelList {
  /** In the order in which the server was told of them. */
  models: Array<ModelEntry>;
}

/**
 * The tokens that a language model wrote or was made to write; of one that only reads on, the
 * token that comes next.
 */
export interface Next {
  /** In the order in which they were written. */
  next: Array<NextToken>;
}

/** A written token with what else could stand there. */
export interface NextToken {
  /** The most likely tokens, with falling probability. */
  candidates: Array<Candidate>;
  /** Its number in the vocabulary. */
  id: number;
  /** The model's raw output for it. */
  logit: number;
  /** Its probability, 0 to 1. */
  probability: number;
  /** What it adds to a text; its name in the vocabulary if that is nothing. */
  token: string;
}

/** How predictions are read. What a task has no use for is an error. */
export interface OptionsRequest {
  /** How labels of tokens become entities. */
  aggregation?:
    | AggregationRequest
    | null;
  /** Tokens that a language model writes. */
  generate?: number | null;
  /** Tokens of an answer at most. */
  max_answer?: number | null;
  /** Tokens that the windows over a long context overlap. */
  stride?: number | null;
  /** Candidates to tell for a token, or answers to a question. */
  top?: number | null;
  /** Cut texts that are longer than the model reads, instead of failing. */
  truncate?: boolean;
  /** A question may have no answer in its context. */
  unanswerable?: boolean;
}

/** One input and what the model said about it. */
export interface PredictDocument {
  /** The text as it was given, and as the model read it. */
  input: Input;
  /** The model that was asked. */
  model: Model;
  /** What the model said. */
  prediction: Prediction;
  /** How many tokens did not fit the model and were not read; absent when all were. */
  truncated?: number | null;
  /** The version of this format; a reader that knows another one should refuse. */
  version: 1;
}

/** What does a model say of an input? */
export interface PredictRequest {
  /** The texts. */
  input: InputRequest;
  /** The model's id; without one, the default of `/v1/models`. */
  model?: string | null;
  /** How the prediction is read. */
  options?: OptionsRequest;
}

/** What the model said. */
export type Prediction =
  | {
  task: "text-classification";
} & Classification
  | {
  task: "token-classification";
} & Entities
  | {
  task: "question-answering";
} & Answers
  | {
  task: "masked-lm";
} & Masks
  | {
  task: "causal-lm";
} & Next
  | {
  task: "seq2seq-lm";
} & Next
  | {
  task: "sentence-similarity";
} & Similarity;

/** Whose code is followed. */
export type PresetRequest = "allennlp";

/** What went wrong (RFC 9457, `application/problem+json`). */
export interface Problem {
  /** The kind as a name that stays. */
  code: string;
  /** What is wrong here: the thing, what was expected, what came. */
  detail: string;
  /** What to do; absent where there is nothing to say. */
  hint?: string | null;
  /** The status of the answer. */
  status: number;
  /** The kind in words. */
  title: string;
  /** A URI for this kind of problem. */
  type: string;
}

/** One number. */
export interface Regression {
  /** What the number measures, from the model's configuration. */
  label: string;
  /** The number, in the model's own unit. */
  value: number;
}

/** One setting. */
export interface SettingEntry {
  /** The values of a choice; absent for other kinds. */
  choices?: Array<string> | null;
  /** What holds without it, in words. */
  default: string;
  /** What it does. */
  help: string;
  /** What its values are. */
  kind: SettingKind;
  /** The largest value that this server takes; absent where it sets no limit of its own. */
  most?: number | null;
  /** Its name. */
  name: string;
}

/** What a setting's values are. */
export type SettingKind =
  | "number"
  | "integer"
  | "choice"
  | "boolean"
  | "text";

/** A setting's value: a switch, a number, or a text that holds one of these or a choice. */
export type SettingRequest =
  | boolean
  | number
  | string;

/** How alike two texts are. */
export interface Similarity {
  /** The cosine of the angle between the two texts' vectors, -1 to 1. */
  similarity: number;
}

/** What is explained: a quantity of what was decided, or of that against something else. */
export type Target =
  | {
  kind: "label";
  /** The label's name. */
  label: string;
  /** What was measured: `logit`, `probability`, `log-probability`, `loss`, `value`. */
  quantity: string;
}
  | {
  kind: "contrast";
  /** The label's name. */
  label: string;
  /** What was measured of each, as for a label. */
  quantity: string;
  /** The label it is compared with. */
  versus: string;
}
  | {
  /** The field that it stands in, counted from 0. */
  field: number;
  kind: "entity";
  /** The entity's label. */
  label: string;
  /** What was measured, as for a label. */
  quantity: string;
  /** First byte in the field's text, and one past the last. */
  span: [number, number];
}
  | {
  /** The field in which the answer is looked for, counted from 0. */
  field: number;
  kind: "answer";
  /** What was measured, as for a label. */
  quantity: string;
  /** First byte in the field's text, and one past the last; null says: no answer. */
  span: [number, number] | null;
  /** Its text; null without an answer. */
  text: string | null;
  /** The text of the answer that it is compared with; absent when there is none. */
  versus?: string | null;
}
  | {
  kind: "token";
  /**
   * Where: an index into the tokens of all fields, one field after the other; the number of
   * all tokens for what comes after the last.
   */
  position: number;
  /** What was measured, as for a label. */
  quantity: string;
  /** What the token adds to the text. */
  token: string;
}
  | {
  kind: "token-contrast";
  /** Where, as for a token. */
  position: number;
  /** What was measured of each, as for a label. */
  quantity: string;
  /** What the token adds to the text. */
  token: string;
  /** What the other one would add. */
  versus: string;
}
  | {
  kind: "similarity";
  /** What was measured: `value`. */
  quantity: string;
};

/** One token as the model's vocabulary spells it, and the place it came from. */
export interface Token {
  /** One past its last byte. A special token covers nothing: its start is its end. */
  end: number;
  /** True for a token that the tokenizer added, such as `[CLS]`. */
  special: boolean;
  /** First byte of the token in the field's text. */
  start: number;
  /** The vocabulary's spelling, for example `##ing`; for reading, cut the field's text instead. */
  text: string;
  /** Index of its word in every explanation's `words`; null for a token of no word. */
  word: number | null;
}

/** A phrase with what it does before a text. */
export interface Trigger {
  /** How many texts the model read, those of gradients included. */
  forward_passes: number;
  /** How many gradients were computed. */
  gradient_evaluations: number;
  /** The share of the texts that were held out that it turns; null without any. */
  held_out:
    | Mean
    | null;
  /** Texts that it was searched on. */
  searched_on: number;
  /** The share of the texts that it was searched on that it turns. */
  seen: Mean;
  /** Texts that were no use: the model says the wanted of them anyway, or cannot read them. */
  skipped: number;
  /** Texts that were held out. */
  tested_on: number;
  /** The phrase. */
  text: string;
}

/** One phrase that turns many predictions. */
export interface TriggerDocument {
  /** The search. */
  attack: Method;
  /** The model that was attacked. */
  model: Model;
  /** What it found. */
  trigger: Trigger;
  /** The version of this format. */
  version: 1;
}

/** The score of one word. */
export interface WordScore {
  /** One past its last byte. */
  end: number;
  /** The sum (never the mean) of its tokens' scores. */
  score: number;
  /** First byte of the word in the field's text. */
  start: number;
}
