// Requests to `glossator serve`. Long ones are jobs: they tell their progress and can be cancelled.

import type {
  AttackList,
  AttackRequest,
  AttentionDocument,
  ExplainRequest,
  JobProgress,
  MethodList,
  ModelEntry,
  PredictDocument,
  PredictRequest,
  Problem,
} from '../../wire/http';
import type { AttackDocument, Document } from '../../wire/types';
import { events } from './sse';

export type Format = 'svg' | 'html' | 'json' | 'csv';

/** What the server, or the way to it, has against a request. */
export class ApiError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

/** What a running request may be asked and tells. */
export interface Watch {
  signal: AbortSignal;
  progress(progress: JobProgress): void;
}

const TOKEN = 'glossator-token';

export class Client {
  constructor(
    private readonly base = '',
    private readonly storage: Pick<Storage, 'getItem' | 'setItem'> = sessionStorage,
  ) {}

  /** Keeps the token for this tab. */
  set token(token: string) {
    this.storage.setItem(TOKEN, token);
  }

  async models(): Promise<ModelEntry[]> {
    return (await this.json<{ models: ModelEntry[] }>('/v1/models')).models;
  }

  methods(): Promise<MethodList> {
    return this.json('/v1/methods');
  }

  attacks(): Promise<AttackList> {
    return this.json('/v1/attacks');
  }

  predict(body: PredictRequest, { signal }: Watch): Promise<PredictDocument> {
    return this.json('/v1/predict', body, signal);
  }

  attention(body: PredictRequest, { signal }: Watch): Promise<AttentionDocument> {
    return this.json('/v1/attention', body, signal);
  }

  explain(body: ExplainRequest, watch: Watch): Promise<Document> {
    return this.job('/v1/explain', body, watch);
  }

  attack(body: AttackRequest, watch: Watch): Promise<AttackDocument> {
    return this.job('/v1/attack', body, watch);
  }

  /** The same as a file. */
  async file(path: '/v1/explain' | '/v1/attack', body: unknown, format: Format): Promise<Blob> {
    const response = await this.send(`${path}?format=${format}`, body);
    return response.blob();
  }

  private async json<T>(path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
    const response = await this.send(path, body, { signal });
    return (await response.json()) as T;
  }

  private async job<T>(path: string, body: unknown, watch: Watch): Promise<T> {
    // Not given up before the server has told the job's name: without it, nothing can cancel it.
    const accepted = await this.send(path, body, { headers: { Prefer: 'respond-async' } });
    if (accepted.status !== 202) return (await accepted.json()) as T;
    const place = accepted.headers.get('Location') ?? '';
    const url = new URL(place, new URL(this.base || '/', location.href)).pathname;
    const cancel = () => {
      this.send(url, undefined, { method: 'DELETE' }).catch(() => undefined);
    };
    watch.signal.addEventListener('abort', cancel, { once: true });
    try {
      if (watch.signal.aborted) cancel();
      return await this.follow<T>(url, watch);
    } finally {
      watch.signal.removeEventListener('abort', cancel);
    }
  }

  private async follow<T>(url: string, watch: Watch): Promise<T> {
    const headers = { Accept: 'text/event-stream' };
    const response = await this.send(url, undefined, { headers, signal: watch.signal });
    if (!response.body) throw new ApiError(unreachable('the answer has no body'));
    for await (const { event, data } of events(response.body)) {
      if (event === 'progress') watch.progress(JSON.parse(data) as JobProgress);
      if (event === 'result') return JSON.parse(data) as T;
      if (event === 'problem') throw new ApiError(JSON.parse(data) as Problem);
      if (event === 'cancelled') throw new ApiError(cancelled());
    }
    throw new ApiError(unreachable('the server ended its answer in the middle'));
  }

  private async send(path: string, body?: unknown, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    const token = this.storage.getItem(TOKEN);
    if (token) headers.set('Authorization', `Bearer ${token}`);
    if (body !== undefined) headers.set('Content-Type', 'application/json');
    const method = init.method ?? (body === undefined ? 'GET' : 'POST');
    let response: Response;
    try {
      const text = body === undefined ? null : JSON.stringify(body);
      response = await fetch(this.base + path, { ...init, method, headers, body: text });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ApiError(unreachable((error as Error).message));
    }
    if (response.ok) return response;
    throw new ApiError(await problemOf(response));
  }
}

async function problemOf(response: Response): Promise<Problem> {
  const type = response.headers.get('Content-Type') ?? '';
  if (type.includes('json')) {
    try {
      const problem = (await response.json()) as Partial<Problem>;
      if (problem.code)
        return { title: '', detail: '', status: response.status, ...problem } as Problem;
    } catch {
      // Not what it says it is: the status alone is told.
    }
  }
  const detail = `the server answered ${response.status} ${response.statusText}`.trim();
  return {
    type: 'about:blank',
    title: 'Unexpected answer',
    status: response.status,
    detail,
    code: 'unexpected',
    hint: null,
  };
}

function unreachable(detail: string): Problem {
  const hint = 'see whether `glossator serve` still runs';
  return { type: 'about:blank', title: 'No answer', status: 0, detail, code: 'unreachable', hint };
}

function cancelled(): Problem {
  return {
    type: 'about:blank',
    title: 'Cancelled',
    status: 0,
    detail: 'cancelled',
    code: 'cancelled',
    hint: null,
  };
}
