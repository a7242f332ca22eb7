// The wire format counts bytes of UTF-8; strings here count units of UTF-16.

/** Cuts one text by byte positions. */
export class Utf8Text {
  readonly text: string;
  /** Bytes of the whole text. */
  readonly length: number;
  /** UTF-16 index by byte; undefined while both are the same. */
  private readonly index: Uint32Array | undefined;

  constructor(text: string) {
    this.text = text;
    let bytes = 0;
    for (let i = 0; i < text.length; ) {
      const code = text.codePointAt(i)!;
      bytes += width(code);
      i += code > 0xffff ? 2 : 1;
    }
    this.length = bytes;
    if (bytes === text.length) return;
    const index = new Uint32Array(bytes + 1);
    let at = 0;
    for (let i = 0; i < text.length; ) {
      const code = text.codePointAt(i)!;
      // A byte inside of a character belongs to its beginning.
      index.fill(i, at, at + width(code));
      at += width(code);
      i += code > 0xffff ? 2 : 1;
    }
    index[bytes] = text.length;
    this.index = index;
  }

  /** The UTF-16 index of a byte; positions outside of the text are its ends. */
  at(byte: number): number {
    const inside = Math.min(Math.max(byte, 0), this.length);
    return this.index ? this.index[inside]! : inside;
  }

  /** The text from byte `start` up to byte `end`. */
  slice(start: number, end = this.length): string {
    return this.text.slice(this.at(start), this.at(end));
  }

  /** Leaves out white space at both ends of a span, unless there is nothing else. */
  trim(start: number, end: number): [number, number] {
    const span = this.slice(start, end);
    const kept = span.trimStart();
    if (kept === '') return [start, end];
    const begins = start + utf8Length(span.slice(0, span.length - kept.length));
    return [begins, begins + utf8Length(kept.trimEnd())];
  }
}

/** How many bytes of UTF-8 a text takes. */
export function utf8Length(text: string): number {
  let bytes = 0;
  for (const c of text) bytes += width(c.codePointAt(0)!);
  return bytes;
}

function width(code: number): number {
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code < 0x10000 ? 3 : 4;
}
