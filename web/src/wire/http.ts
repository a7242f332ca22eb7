// What the page asks for and is told, as the server's interface says it.

import type { InputRequest } from './types';

export type {
  AttackList,
  AttackRequest,
  AttentionDocument,
  ConstraintEntry,
  ExplainRequest,
  JobProgress,
  MethodEntry,
  MethodList,
  ModelEntry,
  ModelList,
  OptionsRequest,
  PredictDocument,
  PredictRequest,
  Problem,
  SettingEntry,
  SettingRequest,
} from './types';

/** The key of a text in a request. */
export type InputField = keyof InputRequest;

/** The texts of a request; what is not there was not given. */
export type Texts = Partial<Record<InputField, string>>;

/** In the order in which they are written everywhere. */
export const FIELDS: InputField[] = ['text', 'context', 'pair', 'question', 'continuation'];

/** The keys that are known here; a newer server may have others. */
export function fieldsOf(keys: string[]): InputField[] {
  return FIELDS.filter((field) => keys.includes(field));
}

/** The texts that were given, without those that are null. */
export function textsOf(input: InputRequest | undefined): Texts {
  const texts: Texts = {};
  for (const field of FIELDS) {
    const text = input?.[field];
    if (typeof text === 'string') texts[field] = text;
  }
  return texts;
}
