// A text with its edits: what stays, what goes, what comes.

import { Utf8Text } from '../text/bytes';
import type { Edit } from '../wire/types';

/** A stretch of a text; an edit's number counts the edits of all fields. */
export interface Part {
  kind: 'same' | 'gone' | 'new';
  text: string;
  edit?: number;
}

/**
 * Splits a field's text at its edits. Space at the ends of what goes or comes is not part of it.
 */
export function parts(field: number, text: string, edits: Edit[]): Part[] {
  const bytes = new Utf8Text(text);
  const all: Part[] = [];
  const same = (part: string) => {
    if (part !== '') all.push({ kind: 'same', text: part });
  };
  let at = 0;
  for (const [e, edit] of edits.entries()) {
    if (edit.field !== field) continue;
    same(bytes.slice(at, edit.start));
    const gone = edit.from.trim();
    const come = edit.to.trim();
    const lead = edit.from.length - edit.from.trimStart().length;
    const [before, after] = [edit.from.slice(0, lead), edit.from.slice(lead + gone.length)];
    same(before);
    if (gone !== '') all.push({ kind: 'gone', text: gone, edit: e });
    if (before === '' || gone === '') {
      const space = edit.to.length - edit.to.trimStart().length;
      same(come === '' ? '' : edit.to.slice(0, space));
    }
    if (come !== '') all.push({ kind: 'new', text: come, edit: e });
    same(after);
    at = edit.end;
  }
  same(bytes.slice(at));
  return all;
}
