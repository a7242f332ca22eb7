// Foreign text made safe to look at: what is invisible, or acts on the display, is spelled out.

/**
 * Controls, direction marks, invisible separators, noncharacters. Joiners and variation selectors
 * stay: words and emoji need them.
 */
const ACTS =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\u{e0000}-\u{e007f}\p{Noncharacter_Code_Point}]/gu;

const COMBINING = /^(?:\p{Mn}|\p{Me}|\u200d)/u;
const SPACES = /^[ \u00a0]+$/;

/** Names of labels and settings are no longer than this; longer ones would bury the rest. */
const LONGEST = 100;

/** Spells out the characters that act on the display: `␛` for ESC, `\u{202e}` for others. */
export function visible(text: string): string {
  return text.replace(ACTS, (c) => {
    const code = c.codePointAt(0)!;
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    return code === 0x7f ? '␡' : `\\u{${code.toString(16)}}`;
  });
}

/** Like `visible`, but leaves line breaks and turns tabs into spaces: for running text. */
export function visibleLines(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll('\t', ' ').split('\n').map(visible).join('\n');
}

/** Makes a text fit to stand alone: white space and nothing at all become visible. */
export function label(text: string): string {
  if (text === '') return '(empty)';
  const shown = SPACES.test(text) ? '␣'.repeat(text.length) : visible(text);
  return COMBINING.test(shown) ? `◌${shown}` : shown;
}

/** A token of a language model: the spaces that it begins with are shown. */
export function token(text: string): string {
  const body = text.replace(/^ +/, '');
  return body === '' ? label(text) : '␣'.repeat(text.length - body.length) + label(body);
}

/** Cuts a text to so many characters, the ellipsis included. */
export function cut(text: string, longest: number): string {
  const all = [...text];
  return all.length <= longest ? text : `${all.slice(0, longest - 1).join('')}…`;
}

/** A label, model or setting, fit to stand in a sentence. */
export function name(text: string): string {
  return cut(visible(cut(text, LONGEST)), LONGEST);
}

/** Some words of a text in quotation marks; line breaks are spaces. */
export function quote(text: string): string {
  const joined = text.split(/\s+/).filter(Boolean).join(' ');
  const shown = name(joined === '' ? text : joined);
  const body = shown.trim() === '' ? shown : shown.trim();
  return `“${label(body)}”`;
}
