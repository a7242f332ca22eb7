import { afterEach, describe, expect, it, vi } from 'vitest';
import { ApiError, Client } from '../src/app/api/client';
import { Session } from '../src/app/state/session';
import { explained } from './sample';

interface Call {
  method: string;
  path: string;
  headers: Headers;
  body: unknown;
}

type Answer = (call: Call, init: RequestInit) => Response | Promise<Response>;

/** Puts a server in the place of fetch and returns what it was asked. */
function server(answer: Answer): Call[] {
  const calls: Call[] = [];
  vi.stubGlobal('fetch', async (path: string, init: RequestInit) => {
    const body = init.body ? JSON.parse(init.body as string) : undefined;
    const call = { method: init.method!, path, headers: new Headers(init.headers), body };
    calls.push(call);
    return answer(call, init);
  });
  return calls;
}

const json = (value: unknown, init: ResponseInit = {}) =>
  new Response(JSON.stringify(value), {
    ...init,
    headers: { 'Content-Type': 'application/json', ...init.headers },
  });

const stream = (text: string) =>
  new Response(text, { headers: { 'Content-Type': 'text/event-stream' } });

const storage = () => {
  const kept = new Map<string, string>();
  return {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  };
};

const watch = () => ({ signal: new AbortController().signal, progress: vi.fn() });

afterEach(() => vi.unstubAllGlobals());

describe('the client', () => {
  const document = explained([['text', 'a']], () => 1);

  it('follows a job and tells its progress', async () => {
    const calls = server(({ path }) => {
      if (path === '/v1/explain') {
        return json(
          { id: 'x', state: 'queued' },
          { status: 202, headers: { Location: '/v1/jobs/x' } },
        );
      }
      const progress = { state: 'running', evaluations: 3, elapsed_ms: 9 };
      return stream(
        `event: progress\ndata: ${JSON.stringify(progress)}\n\nevent: result\ndata: ${JSON.stringify(document)}\n\n`,
      );
    });
    const seen = watch();
    const got = await new Client('', storage()).explain({ input: { text: 'a' } }, seen);
    expect(got).toEqual(document);
    expect(seen.progress).toHaveBeenCalledWith({ state: 'running', evaluations: 3, elapsed_ms: 9 });
    expect(calls[0]!.headers.get('Prefer')).toBe('respond-async');
    expect(calls[1]).toMatchObject({ method: 'GET', path: '/v1/jobs/x' });
    expect(calls[1]!.headers.get('Accept')).toBe('text/event-stream');
  });

  it('takes an answer that comes at once', async () => {
    server(() => json(document));
    expect(await new Client('', storage()).explain({ input: {} }, watch())).toEqual(document);
  });

  it('cancels a job that is given up', async () => {
    const controller = new AbortController();
    const calls = server(({ path, method }, init) => {
      if (path === '/v1/attack') {
        return json({}, { status: 202, headers: { Location: '/v1/jobs/7' } });
      }
      if (method === 'DELETE') return new Response(null, { status: 204 });
      return new Promise((_, fail) => {
        init.signal!.addEventListener('abort', () => fail(new Error('aborted')));
        controller.abort();
      });
    });
    const { signal } = controller;
    const asked = new Client('', storage()).attack(
      { input: {}, attack: 'hotflip' },
      { signal, progress: vi.fn() },
    );
    await expect(asked).rejects.toThrow('aborted');
    expect(calls.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'POST /v1/attack',
      'GET /v1/jobs/7',
      'DELETE /v1/jobs/7',
    ]);
  });

  it('tells problems as the server does', async () => {
    const problem = {
      type: 'x',
      title: 'Bad setting',
      status: 422,
      detail: 'steps: 0',
      code: 'bad_setting',
      hint: 'more',
    };
    server(() =>
      json(problem, { status: 422, headers: { 'Content-Type': 'application/problem+json' } }),
    );
    const client = new Client('', storage());
    await expect(client.methods()).rejects.toMatchObject({ problem });
    server(() => new Response('<html>', { status: 502, headers: { 'Content-Type': 'text/html' } }));
    await expect(client.methods()).rejects.toMatchObject({
      problem: { code: 'unexpected', status: 502 },
    });
    server(() => Promise.reject(new TypeError('connection refused')));
    await expect(client.methods()).rejects.toMatchObject({ problem: { code: 'unreachable' } });
    server(({ path }) =>
      path === '/v1/explain'
        ? json({}, { status: 202, headers: { Location: '/v1/jobs/1' } })
        : stream(`event: problem\ndata: ${JSON.stringify(problem)}\n\n`),
    );
    await expect(client.explain({ input: {} }, watch())).rejects.toBeInstanceOf(ApiError);
    server(({ path }) =>
      path === '/v1/explain'
        ? json({}, { status: 202, headers: { Location: '/v1/jobs/1' } })
        : stream('event: progress\ndata: {}\n\n'),
    );
    await expect(client.explain({ input: {} }, watch())).rejects.toThrow('in the middle');
  });

  it('sends the token that it was given', async () => {
    const calls = server(() => json({ models: [] }));
    const client = new Client('', storage());
    await client.models();
    client.token = 'secret';
    await client.models();
    expect(calls.map(({ headers }) => headers.get('Authorization'))).toEqual([
      null,
      'Bearer secret',
    ]);
  });
});

describe('the session', () => {
  const model = (id: string, fields: string[]) => ({
    id,
    task: 'text-classification',
    labels: ['negative', 'positive'],
    default: id === 'first',
    fields,
    attention: true,
    examples: [{ title: 'one', input: { text: 'a', pair: 'b' } }],
  });
  const setting = { name: 'steps', kind: 'integer', help: '', default: '' };
  const methods = ['gradient', 'occlusion', 'integrated-gradients'].map((id) => ({
    id,
    settings: [setting],
  }));

  async function session(hash: string) {
    const document = explained([['text', 'a']], () => 1);
    const calls = server(({ path }) => {
      if (path === '/v1/models')
        return json({ models: [model('first', ['text']), model('second', ['text', 'pair'])] });
      if (path === '/v1/methods')
        return json({ methods, default: 'gradient', quantities: ['logit'] });
      if (path === '/v1/attacks')
        return json({ attacks: [{ id: 'hotflip', settings: [] }], constraints: [] });
      return json(document);
    });
    const one = new Session(new Client('', storage()), hash);
    await one.load();
    await vi.waitFor(() => expect(one.prediction.running).toBe(false));
    return { session: one, asked: calls.slice(3) };
  }

  it('shows the first explanation by itself', async () => {
    const { session: one, asked } = await session('');
    expect(asked.map(({ path }) => path)).toEqual(['/v1/predict', '/v1/explain', '/v1/explain']);
    expect(one.view.methods).toEqual(['integrated-gradients', 'occlusion']);
    expect(asked[1]!.body).toEqual({
      model: 'first',
      input: { text: 'a' },
      options: {},
      method: 'integrated-gradients',
    });
  });

  it('asks what a link says, and nothing that the model cannot read', async () => {
    const { asked } = await session(
      '#model=second&text=x&pair=y&question=z&methods=occlusion&s.occlusion.steps=4&target=positive&o.top=3',
    );
    expect(asked[1]!.body).toEqual({
      model: 'second',
      input: { text: 'x', pair: 'y' },
      options: { top: 3 },
      method: 'occlusion',
      settings: { steps: 4 },
      target: 'positive',
    });
  });

  it('knows when the text was edited', async () => {
    const { session: one } = await session('');
    expect(one.edited).toBe(false);
    one.type({ text: 'b' });
    expect(one.edited).toBe(true);
    one.ask();
    expect(one.edited).toBe(false);
    expect(location.hash).toContain('text=b');
  });
});
