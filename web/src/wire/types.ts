// The wire format of Glossator, version 1. Written by scripts/types.mjs from schema/*.json, which
// `glossator schema` prints: change the Rust types, not this file.

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

/** The text that was explained. */
export interface Input {
  /** The input's parts in the order the model reads them, for example premise and hypothesis. */
  fields: Array<Field>;
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

/** One number. */
export interface Regression {
  /** What the number measures, from the model's configuration. */
  label: string;
  /** The number, in the model's own unit. */
  value: number;
}

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
