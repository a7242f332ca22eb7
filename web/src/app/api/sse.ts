// Server-sent events out of a stream of bytes. The browser's EventSource cannot send a token.

export interface ServerEvent {
  event: string;
  data: string;
}

/** Splits a text that comes in pieces into events, as the HTML standard says. */
export class EventParser {
  private rest = '';
  private event = '';
  private data: string[] = [];

  /** Takes a piece of the stream and returns the events that it completes. */
  push(piece: string): ServerEvent[] {
    this.rest += piece;
    const events: ServerEvent[] = [];
    for (;;) {
      const end = this.rest.search(/[\r\n]/);
      if (end < 0) return events;
      // A line may end in \r\n, of which only the first half has come.
      if (this.rest[end] === '\r' && end + 1 === this.rest.length) return events;
      const line = this.rest.slice(0, end);
      this.rest = this.rest.slice(end + (this.rest.startsWith('\r\n', end) ? 2 : 1));
      const event = this.line(line);
      if (event) events.push(event);
    }
  }

  private line(line: string): ServerEvent | undefined {
    if (line === '') {
      const { event, data } = this;
      [this.event, this.data] = ['', []];
      return data.length > 0 ? { event: event || 'message', data: data.join('\n') } : undefined;
    }
    if (line.startsWith(':')) return undefined;
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.event = value;
    if (field === 'data') this.data.push(value);
    return undefined;
  }
}

/** The events of a response's body, as they come. */
export async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const parser = new EventParser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}
